// One process, every kind of trap in it, one after the other (DESIGN §6, "test number one"). Prints
// what was reported as JSON; ../traps.test.ts reads it. If a handler got in another's way, this
// process would be dead before it printed.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { parse } from '@bytecodealliance/jco';

const { Appliance, Runner } = createRequire(import.meta.url)('../../host/wirelet.node');

const PACKET = new Uint8Array(64);

async function program(name, body) {
  const wasm = await parse(`(module
    (memory (export "memory") 16400 16400)
    (func (export "wirelet_abi_1"))
    (func (export "onBurst") (param i32) ${body}))`);
  return { name, wasm, settings: new Uint8Array(0), deadlineNs: 5e6, onFault: 'drop' };
}

const nullLoad = () => program('null', '(drop (i32.load (i32.const 0)))');
const holeStore = () => program('hole', '(i32.store (i32.const 0x1ff00000) (i32.const 1))');
const endless = () => program('endless', '(loop $again (br $again))');

/** The fault of a program on this thread. */
function runHere(spec) {
  const runner = new Runner(spec);
  const { fault } = runner.run([PACKET], [0]);
  runner.close();
  return fault?.code ?? 'none';
}

/** The fault of a program on an lcore, and where its packets went. */
async function runOnLcore(spec) {
  const appliance = new Appliance({
    frames: 2048,
    frameBytes: 2240,
    hugepages: true,
    lcores: [-1],
    burst: 32,
    idle: 'adaptive',
    offline: false,
    ports: [
      {
        name: 'in',
        device: 'null:?rx=64&packets=1000',
        queues: 1,
        forward: -1,
        punt: -1,
        pipeline: [0],
        rules: [],
        offload: 'auto',
      },
    ],
    programs: [spec],
  });
  appliance.start();
  const codes = [];
  for (let waited_ms = 0; waited_ms < 20_000 && codes.length === 0; waited_ms += 5) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    codes.push(...appliance.events().map((event) => event.code));
  }
  appliance.close();
  return codes[0] ?? 'none';
}

/** V8's own out-of-bounds trap: its handler shares SIGSEGV with ours. */
async function runV8() {
  const wasm = await parse(`(module (memory 1)
    (func (export "touch") (result i32) (i32.load (i32.const 0x7fffffff))))`);
  const { instance } = await WebAssembly.instantiate(wasm);
  try {
    instance.exports.touch();
    return 'none';
  } catch (error) {
    return error instanceof WebAssembly.RuntimeError ? 'RuntimeError' : String(error);
  }
}

async function runInWorker() {
  const worker = new Worker(fileURLToPath(import.meta.url));
  return new Promise((resolve, reject) => {
    worker.once('message', resolve).once('error', reject);
  });
}

if (isMainThread) {
  const reported = [];
  const note = async (what, code) => reported.push([what, await code]);
  await note('V8 before', runV8());
  await note('JS thread, null', runHere(await nullLoad()));
  await note('lcore, null', runOnLcore(await nullLoad()));
  await note('Worker, hole', runInWorker());
  await note('V8 between', runV8());
  await note('JS thread, endless', runHere(await endless()));
  await note('lcore, endless', runOnLcore(await endless()));
  await note('lcore, hole', runOnLcore(await holeStore()));
  await note('JS thread, hole', runHere(await holeStore()));
  await note('Worker again, hole', runInWorker());
  await note('V8 after', runV8());
  console.log(JSON.stringify(reported));
} else {
  parentPort?.postMessage(runHere(await holeStore()));
}
