// `npm run bench:dpdk`: the same driver (net_null), the same arguments, one lcore, 64 bytes: ours
// without a program and with macswap in Wasm, testpmd's io and macswap, in turn, medians.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { threadCpuNs, threads } from './threads.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '../..');
const TURNS = Number(process.env.WIRELET_BENCH_TURNS ?? 7);
const SECONDS = Number(process.env.WIRELET_BENCH_SECONDS ?? 2);
const BURST = Number(process.env.WIRELET_BENCH_BURST ?? 64);
const HUGEPAGES = process.env.WIRELET_BENCH_HUGEPAGES === '1';
const FRAMES = 16_384;
const DESCRIPTORS = 1024;
const CPU = cpus().length - 1;
const PATIENCE_MS = 20_000;
const WARM_MS = 300;
/** Goals of issue 6, of testpmd's rate with its default pool. */
const GOALS = { io: 0.95, macswap: 0.9 };

const VDEVS = ['net_null0,size=64', 'net_null1,size=64'];
const EAL = HUGEPAGES
  ? ['--in-memory', '--no-pci']
  : ['--no-huge', '--no-shconf', '--no-telemetry', '--no-pci', '-m', '256'];
const SUBJECTS = ['io', 'macswap'].flatMap((work) => [
  { work, name: 'wirelet', run: () => wirelet(work) },
  { work, name: 'testpmd', run: () => testpmd(work, []) },
  { work, name: 'testpmd xbuf', run: () => testpmd(work, ['--mp-alloc=xbuf']) },
]);

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function config(work) {
  const [a, b] = VDEVS.map((vdev) => `dpdk:${vdev}?rxd=${DESCRIPTORS}&txd=${DESCRIPTORS}`);
  return {
    lcores: [CPU],
    burst: BURST,
    frames: FRAMES,
    hugepages: HUGEPAGES,
    idle: 'poll',
    ports: { a, b },
    forward: { a: 'b', b: 'a' },
    programs: work === 'io' ? {} : { macswap: join(ROOT, 'programs/macswap') },
    dpdk: { eal: EAL },
  };
}

function wireletCommand(work) {
  const file = join(HERE, 'dpdk-appliance.js');
  return [process.execPath, file, JSON.stringify(config(work)), String(SECONDS)];
}

function wirelet(work) {
  const [command, ...args] = wireletCommand(work);
  return JSON.parse(execFileSync(command, args, { encoding: 'utf8' }));
}

function testpmdCommand(work, extra) {
  const eal = [...EAL, ...VDEVS.map((vdev) => `--vdev=${vdev}`), `--lcores=0,1@${CPU}`];
  const rings = [`--rxd=${DESCRIPTORS}`, `--txd=${DESCRIPTORS}`];
  const pool = [`--total-num-mbufs=${FRAMES}`, '--mbcache=256', '--mbuf-size=2240'];
  const app = ['-i', `--forward-mode=${work}`, `--burst=${BURST}`, ...rings, ...pool, ...extra];
  return ['dpdk-testpmd', ...eal, '--', ...app];
}

/** Starts and stops it by its prompt: from the first start to the last stop its worker works. */
async function testpmd(work, extra) {
  const [command, ...args] = testpmdCommand(work, extra);
  // Its output is a pipe, which it would fill before it writes.
  const line = ['-oL', command, ...args];
  const child = spawn('stdbuf', line, { stdio: ['pipe', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part) => {
      text += part;
    });
  }
  try {
    const until = (pattern) =>
      waitFor(
        () => pattern.exec(text),
        child,
        () => text,
      );
    await until(/testpmd> /);
    child.stdin.write('start\n');
    await sleep(WARM_MS);
    child.stdin.write('stop\n');
    await until(/Done\./);
    const worker = threads(child.pid).find(({ name }) => /worker/.test(name));
    text = '';
    const before = { cpuNs: threadCpuNs(worker), ns: performance.now() * 1e6 };
    child.stdin.write('start\n');
    await sleep(SECONDS * 1000);
    child.stdin.write('stop\n');
    await until(/Done\./);
    const after = { cpuNs: threadCpuNs(worker), ns: performance.now() * 1e6 };
    const total = /Accumulated forward statistics for all ports[\s\S]*?TX-packets: (\d+)/.exec(
      text,
    );
    child.stdin.write('quit\n');
    await new Promise((resolve) => child.once('close', resolve));
    return {
      packets: Number(total[1]),
      cpuNs: after.cpuNs - before.cpuNs,
      ns: after.ns - before.ns,
    };
  } finally {
    child.kill('SIGKILL');
  }
}

async function waitFor(condition, child, text) {
  const started = performance.now();
  for (;;) {
    const found = condition();
    if (found) return found;
    if (child.exitCode !== null || performance.now() - started > PATIENCE_MS) {
      throw new Error(`testpmd: ${text().trim().split('\n').slice(-3).join(' ')}`);
    }
    await sleep(10);
  }
}

function median(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

/** A peer that can't run here is a sentence, not a failure. */
async function attempt(subject) {
  try {
    const { packets, cpuNs, ns } = await subject.run();
    return { nsPerPacket: cpuNs / packets, mpps: (packets / ns) * 1e3 };
  } catch (error) {
    console.log(`${subject.work}, ${subject.name}: not measured (${error.message})`);
    subject.failed = true;
    return undefined;
  }
}

function print() {
  console.log('\nCPU time of the lcore per packet, medians; Mpps by the clock on the wall');
  console.log('work      subject        ns/packet   Mpps   of testpmd  goal');
  for (const { work, name, samples } of SUBJECTS) {
    const of = (key) => median(samples.map((sample) => sample[key]));
    const peer = SUBJECTS.find((other) => other.work === work && other.name === 'testpmd');
    const ratio = median(peer.samples.map(({ nsPerPacket }) => nsPerPacket)) / of('nsPerPacket');
    const goal = name === 'wirelet' ? GOALS[work].toFixed(2) : '';
    const cells = [
      work.padEnd(8),
      name.padEnd(13),
      of('nsPerPacket').toFixed(2).padStart(9),
      of('mpps').toFixed(1).padStart(6),
      ratio.toFixed(3).padStart(10),
      goal.padStart(5),
    ];
    console.log(cells.join('  '));
  }
}

function save() {
  const results = join(ROOT, 'bench/results');
  mkdirSync(results, { recursive: true });
  const machine = { kernel: release(), cpu: cpus()[0]?.model, load: loadavg() };
  const setup = {
    burst: BURST,
    hugepages: HUGEPAGES,
    turns: TURNS,
    seconds: SECONDS,
    goals: GOALS,
  };
  const rows = SUBJECTS.map(({ work, name, samples }) => ({ work, name, samples }));
  const commands = commandLines();
  const text = JSON.stringify({ unit: 'ns of CPU per packet', machine, setup, commands, rows });
  writeFileSync(join(results, 'dpdk.json'), `${text}\n`);
  console.log('raw samples: bench/results/dpdk.json');
}

/** As they are run, but for the folder that this checkout lies in. */
function commandLines() {
  const all = [wireletCommand('io'), wireletCommand('macswap')];
  all.push(testpmdCommand('io', []), testpmdCommand('macswap', ['--mp-alloc=xbuf']));
  const word = (text) => (/[{ ]/.test(text) ? `'${text}'` : text);
  return all.map((command) => command.map(word).join(' ').replaceAll(ROOT, ''));
}

async function main() {
  if (spawnSync('dpdk-testpmd', ['--version'], { stdio: 'ignore' }).error) {
    console.log('dpdk-testpmd is not there: apt-get install dpdk-dev');
    return;
  }
  console.log(commandLines().join('\n'));
  console.log('net_null has no fast free; both keep 256 mbufs per lcore in a cache.');
  for (const subject of SUBJECTS) subject.samples = [];
  for (let turn = 0; turn < TURNS; turn++) {
    for (const subject of SUBJECTS) {
      if (subject.failed) continue;
      const sample = await attempt(subject);
      if (sample) subject.samples.push(sample);
    }
  }
  print();
  save();
}

await main();
