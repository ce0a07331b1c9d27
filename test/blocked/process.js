// Measures the rate of this machine, now; then generates 80 % of it while the host misbehaves, and
// prints what was lost. ../blocked.timed.test.ts reads it.
//
//   node process.js <idle|blocked|throws|stalled> <seconds>
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createAppliance, loadProgram } from '../../host/dist/index.js';

const { Runner } = createRequire(import.meta.url)('../../host/wirelet.node');
const SOURCE = fileURLToPath(new URL('stall', import.meta.url));
const LCORE = Math.max(0, cpus().length - 1);
/** What the ring of the generator may hold back: less than the stall of the negative control. */
const RING_MS = 3;
/** At least 5 ms: these cores change their speed by half from one second to the next. */
const STALL_MS = 10;

const STALLS_PER_SECOND = 20;

const [mode = 'blocked', seconds = '10'] = process.argv.slice(2);

function appliance(device, settings = {}) {
  return createAppliance({
    lcores: [LCORE],
    idle: 'poll',
    ports: { in: device, out: 'sink:' },
    forward: { in: 'out' },
    programs: { stall: { source: SOURCE, settings, deadlineMs: 200 } },
    pipeline: ['stall'],
  });
}

/**
 * Packets per second that this lcore can do while this thread is busy, the least of three short
 * runs: two CPUs of one core share it, and a host that blocks takes its part.
 */
async function measureRate() {
  const rates = [];
  for (let run = 0; run < 3; run++) {
    const running = await appliance('gen:?rate=max&size=64&flows=64');
    running.start();
    await sleep(100);
    const [before, started] = [running.stats().ports.out.tx, performance.now()];
    block(500);
    const packets = running.stats().ports.out.tx - before;
    rates.push(packets / ((performance.now() - started) / 1000));
    await running.stop();
  }
  return Math.floor(Math.min(...rates));
}

/** Rounds of the program's loop that take STALL_MS on this machine. */
async function measureLoops() {
  const { wasm } = await loadProgram(SOURCE);
  const { encodeSettings } = await import('../../host/dist/settings.js');
  const loops = 1_000_000;
  const settings = encodeSettings({ every: 1, loops });
  const runner = new Runner({ name: 'stall', wasm, settings, deadlineNs: 2e8, onFault: 'drop' });
  const times = [];
  for (let run = 0; run < 9; run++) {
    const started = performance.now();
    runner.run([new Uint8Array(64)], [0]);
    times.push(performance.now() - started);
  }
  runner.close();
  return Math.ceil((loops * STALL_MS) / times.sort((a, b) => a - b)[4]);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function block(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

const rate = Math.floor((await measureRate()) * 0.8);
const settings = { idle: {}, blocked: {}, throws: { every: 50_000, loops: 1 } }[mode] ?? {
  every: Math.floor(rate / STALLS_PER_SECOND),
  loops: await measureLoops(),
};
const count = rate * Number(seconds);
const ring = Math.ceil((rate / 1000) * RING_MS);
const running = await appliance(
  `gen:?rate=${rate}&size=64&flows=64&count=${count}&ring=${ring}`,
  settings,
);
let callbacks = 0;
running.on('log', () => {
  callbacks++;
  throw new Error('a callback of the host throws');
});
running.on('error', () => {});
running.start();
if (mode === 'blocked') block(Number(seconds) * 1000);
await running.finished;
const { ports } = await running.stop();
const { in: generator, out: sink } = ports;
const { generated, missed } = generator.xstats;
const { received, lost, reordered } = sink.xstats;
const report = { mode, rate, ring, count, callbacks, generated, missed, received, lost, reordered };
console.log(JSON.stringify(report));
process.exit(0);
