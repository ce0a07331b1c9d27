// Measures the rate of this machine, now; then generates 80 % of it while the host misbehaves, and
// prints what was lost. ../blocked.timed.test.ts reads it.
//
//   node process.js <idle|blocked|throws|stalled> <seconds>
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createAppliance } from '../../host/dist/index.js';
import { block, measureLoops, measureRates } from '../loss/rate.js';

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

const unpaced = () => appliance('gen:?rate=max&size=64&flows=64');
const [fastest] = await measureRates(unpaced, ['out'], () => block(500));
const rate = Math.floor(fastest * 0.8);
const settings = { idle: {}, blocked: {}, throws: { every: 50_000, loops: 1 } }[mode] ?? {
  every: Math.floor(rate / STALLS_PER_SECOND),
  loops: await measureLoops(SOURCE, (loops) => ({ every: 1, loops }), STALL_MS),
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
