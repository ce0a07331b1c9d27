// Measures the rates of this machine, now, while it swaps; then generates 80 % of them on two
// lcores, swaps `mark` again and again between two versions, and prints what `audit` behind it, the
// sinks and the generators have seen. ../swap.timed.test.ts reads it.
//
//   node --expose-gc process.js <swaps|stalled> <rounds> <swaps of a round>
//
// Between two rounds of swaps there is one in which the host is as busy and swaps nothing: what the
// machine loses by itself, in the same seconds.
import { readdirSync, readFileSync } from 'node:fs';
import { createAppliance } from '../../host/dist/index.js';
import { ALL_CPUS, CPU_COUNT, LAST_CPU, placeControl } from '../loss/place.js';
import { block, measureLoops, measureRates, sleep } from '../loss/rate.js';
import { compiled } from './modules.js';

/** The last two; control threads get the others, or, where there are two CPUs, the first. */
const LCORES = [Math.max(0, LAST_CPU - 1), LAST_CPU];
const CONTROL_CPUS = CPU_COUNT > 2 ? `0-${LAST_CPU - 2}` : '0';
/** What a generator's ring may hold back: less than the stall of the negative control. */
const RING_MS = 3;
/** For an lcore that shares its CPU with the control threads: some slices of the scheduler. */
const SHARED_RING_MS = 40;
const RINGS_MS = [CPU_COUNT > 2 ? RING_MS : SHARED_RING_MS, RING_MS];
/** Seen through the noise of a machine whose CPUs others use too, which 10 ms are not (tried). */
const STALL_MS = 20;
const RATE_ROUND_MS = 700;
/** Memory is compared from here on: until then caches and pools fill. */
const SETTLED_SWAPS = 1000;

const [mode = 'swaps', rounds = '20', swapsPerRound = '500'] = process.argv.slice(2);

const [markA, markB, audit] = await compiled('mark-a', 'mark-b', 'audit');

/** Two lcores, each with a generator and a sink of its own. */
function appliance(rates) {
  placeControl(ALL_CPUS);
  const generator = (lcore) => {
    const rate = rates[lcore];
    const ring = rate === 'max' ? 1024 : Math.ceil((rate / 1000) * RINGS_MS[lcore]);
    return `gen:?rate=${rate}&size=64&flows=64&src_mac=00:00:00:00:00:00&ring=${ring}`;
  };
  return createAppliance({
    lcores: LCORES,
    idle: 'poll',
    // An instance maps all frames: as few as will do, or a swap does little else.
    frames: 2048,
    ports: { in0: generator(0), in1: generator(1), out0: 'sink:', out1: 'sink:' },
    forward: { in0: 'out0', in1: 'out1' },
    programs: { mark: { source: markA, deadlineMs: 200 }, audit },
    pipeline: ['mark', 'audit'],
  });
}

/** Swaps back and forth; generations go up by one, B's are the even ones. */
class Swapper {
  #appliance;
  #loops;
  swaps = 0;
  timesMs = [];

  constructor(appliance, loops = 0) {
    this.#appliance = appliance;
    this.#loops = loops;
  }

  async swap() {
    const isA = this.#appliance.generation % 2 === 0;
    const options = isA ? { source: markA, settings: {} } : this.#versionB();
    const { change } = await this.#appliance.swap('mark', options);
    if (change.to !== change.from + 1) throw new Error(`${change.from} to ${change.to}`);
    this.timesMs.push(change.timesMs.total);
    this.swaps++;
  }

  #versionB() {
    return { source: markB, settings: this.#loops > 0 ? { loops: this.#loops } : {} };
  }

  async during(ms) {
    const end = performance.now() + ms;
    while (performance.now() < end) await this.swap();
  }
}

/** What generators have made and missed until now. */
function made(appliance) {
  const { in0, in1 } = appliance.stats().ports;
  const sum = (name) => in0.xstats[name] + in1.xstats[name];
  return { count: sum('generated'), missed: sum('missed') };
}

async function lossDuring(appliance, work) {
  const before = made(appliance);
  await work();
  const after = made(appliance);
  return { count: after.count - before.count, missed: after.missed - before.missed };
}

function memory() {
  globalThis.gc();
  const mappings = readFileSync('/proc/self/maps', 'utf8').split('\n').length;
  return {
    rssBytes: process.memoryUsage.rss(),
    mappings,
    files: readdirSync('/proc/self/fd').length,
  };
}

const unpaced = () => appliance(['max', 'max']);
const fastest = await measureRates(unpaced, ['out0', 'out1'], (running) => {
  placeControl(CONTROL_CPUS);
  return new Swapper(running).during(RATE_ROUND_MS);
});
const rates = fastest.map((rate) => Math.floor(rate * 0.8));
const loopsOf = (loops) => ({ loops });
const loops = mode === 'stalled' ? await measureLoops(markB, loopsOf, STALL_MS) : 0;
const running = await appliance(rates);
running.start();
placeControl(CONTROL_CPUS);
await sleep(200);
const swapper = new Swapper(running, loops);
const [swapping, quiet] = [[], []];
const memories = [];
for (let round = 0; round < Number(rounds); round++) {
  const work = async () => {
    for (let swap = 0; swap < Number(swapsPerRound); swap++) await swapper.swap();
  };
  const started = performance.now();
  swapping.push(await lossDuring(running, work));
  const roundMs = performance.now() - started;
  quiet.push(await lossDuring(running, async () => block(roundMs)));
  const used = memory();
  if (swapper.swaps >= SETTLED_SWAPS) memories.push(used);
}
const { ports, generation, programs } = await running.stop();
const times = swapper.timesMs.sort((a, b) => a - b);
const report = {
  mode,
  rates,
  swaps: swapper.swaps,
  generation,
  swapMs: { median: times[times.length >> 1], max: times.at(-1) },
  swapping,
  quiet,
  memories,
  counters: running.counters(),
  faults: programs.mark.faults + programs.audit.faults,
  ports,
};
const plain = (_key, value) => (typeof value === 'bigint' ? Number(value) : value);
console.log(JSON.stringify(report, plain));
process.exit(0);
