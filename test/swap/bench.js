// `npm run bench:swap`: what swaps cost the lcore that they happen on, and how long they take on
// one that sleeps. Rounds with swaps and rounds without take turns; medians; every sample is kept.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HISTOGRAM_BUCKETS } from '../../host/dist/abi.js';
import { createAppliance } from '../../host/dist/index.js';
import { percentiles } from '../../host/dist/stats/histogram.js';
import { tableText } from '../../host/dist/terminal/table.js';
import { ALL_CPUS, LAST_CPU, placeControl } from '../loss/place.js';
import { sleep } from '../loss/rate.js';
import { compiled } from './modules.js';

const RESULTS = fileURLToPath(new URL('../../bench/results', import.meta.url));
const CONTROL_CPUS = LAST_CPU > 0 ? `0-${LAST_CPU - 1}` : '0';
const ROUNDS = Number(process.env.WIRELET_BENCH_ROUNDS ?? 15);
const ROUND_MS = 1000;
/** From one swap's start to the next one's. */
const SWAP_EVERY_MS = 10;
/** Goals of issue 4. */
const P999_RATIO_MAX = 1.5;
const IDLE_MS_MAX = 10;
const IDLE_TIMES = 100;
/** Long enough for an lcore without packets to fall asleep. */
const ASLEEP_MS = 30;

const [markA, markB, gap, audit] = await compiled('mark-a', 'mark-b', 'gap', 'audit');

/** Swaps between the versions, one every so many milliseconds; what each took, in ms. */
async function swapFor(appliance, ms) {
  const times = [];
  const started = performance.now();
  for (let due = started; due < started + ms; due += SWAP_EVERY_MS) {
    await sleep(Math.max(0, due - performance.now()));
    times.push(await timed(() => swap(appliance)));
  }
  return times;
}

async function swap(appliance) {
  const source = appliance.generation % 2 === 0 ? markA : markB;
  const { change } = await appliance.swap('mark', { source });
  return change.timesMs;
}

/** What `work` returned, with the milliseconds that its caller waited. */
async function timed(work) {
  const started = performance.now();
  const steps = await work();
  return { ...steps, total: performance.now() - started };
}

/** How often each gap came so far, by bucket; the table lists those that came at all. */
async function gapsOf(appliance) {
  const buckets = new Array(HISTOGRAM_BUCKETS).fill(0);
  for await (const { key, value } of appliance.tables.entries('gap/gaps')) {
    buckets[Number(key)] = Number(value.count);
  }
  return buckets;
}

/** Rounds of swaps and of none on an lcore that has a full burst at every round of its loop. */
async function benchGaps() {
  const appliance = await createAppliance({
    lcores: [LAST_CPU],
    idle: 'poll',
    ports: { in: 'gen:?rate=max&size=64&flows=64', out: 'sink:' },
    forward: { in: 'out' },
    programs: { mark: markA, gap },
    pipeline: ['mark', 'gap'],
  });
  appliance.start();
  placeControl(CONTROL_CPUS);
  await swapFor(appliance, ROUND_MS);
  const rounds = [];
  let before = await gapsOf(appliance);
  const round = async (work) => {
    const swaps = await work();
    const after = await gapsOf(appliance);
    const gapsNs = after.map((count, bucket) => count - before[bucket]);
    before = after;
    return { gapsNs, ...percentiles(gapsNs), swaps };
  };
  for (let turn = 0; turn < ROUNDS; turn++) {
    const swapping = await round(() => swapFor(appliance, ROUND_MS));
    const quiet = await round(() => sleep(ROUND_MS).then(() => []));
    rounds.push({ swapping, quiet });
  }
  await appliance.stop();
  placeControl(ALL_CPUS);
  return rounds;
}

/** A swap, and a key set in a table, on an lcore that sleeps: nothing comes in. */
async function benchIdle() {
  const appliance = await createAppliance({
    lcores: [LAST_CPU],
    ports: { in: 'ring:idle', out: 'ring:idle' },
    forward: { in: 'out' },
    programs: { mark: markA, audit },
    pipeline: ['mark', 'audit'],
  });
  appliance.start();
  const asleep = async (work) => {
    await sleep(ASLEEP_MS);
    const [{ state }] = appliance.stats().lcores;
    return { state, ...(await timed(work)) };
  };
  await swap(appliance);
  const [swaps, sets] = [[], []];
  for (let turn = 0; turn < IDLE_TIMES; turn++) {
    swaps.push(await asleep(() => swap(appliance)));
    sets.push(await asleep(() => appliance.tables.set('audit/flows', turn, 1)));
  }
  await appliance.stop();
  return { swaps, sets };
}

function quantile(samples, share) {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

const median = (samples) => quantile(samples, 0.5);
const p99 = (samples) => quantile(samples, 0.99);
const right = (title) => ({ title, align: 'right' });

function gapsText(rounds) {
  const of = (kind, name) => median(rounds.map((round) => round[kind][name]));
  const rows = [
    ['median', 'p50'],
    ['p99', 'p99'],
    ['p99.9', 'p999'],
    ['longest', 'max'],
  ].map(([title, name]) => {
    const [swapping, quiet] = [of('swapping', name), of('quiet', name)];
    return [title, String(swapping), String(quiet), (swapping / quiet).toFixed(2)];
  });
  const columns = [
    { title: 'ns between two bursts' },
    right('swaps'),
    right('none'),
    right('ratio'),
  ];
  return tableText(columns, rows);
}

function timesText(entries) {
  const rows = entries.map(([title, times]) => [
    title,
    ...[0.5, 0.99, 1].map((share) => quantile(times, share).toFixed(2)),
    String(times.length),
  ]);
  const columns = [{ title: 'ms' }, right('median'), right('p99'), right('longest'), right('n')];
  return tableText(columns, rows);
}

function goalText(title, value, limit) {
  const met = value <= limit ? 'met' : 'MISSED';
  return `goal: ${title}: ${value.toFixed(2)}, at most ${limit}: ${met}`;
}

const [load = 0] = loadavg();
const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, linux: release(), load };
const rounds = await benchGaps();
const idle = await benchIdle();
mkdirSync(RESULTS, { recursive: true });
const file = join(RESULTS, 'swap.json');
const sampled = { time: new Date().toISOString(), node: process.version, ...machine };
writeFileSync(file, `${JSON.stringify({ ...sampled, everyMs: SWAP_EVERY_MS, rounds, idle })}\n`);

const loaded = rounds.flatMap(({ swapping }) => swapping.swaps);
const steps = ['compile', 'instantiate', 'adopt', 'total'];
const asleep = (samples) => samples.filter(({ state }) => state === 'sleeping').length;
const ratios = ({ swapping, quiet }) => swapping.p999 / quiet.p999;
const totals = (samples) => samples.map(({ total }) => total);
console.log(`
one lcore, full bursts, ${ROUNDS} rounds of ${ROUND_MS} ms each, a swap every ${SWAP_EVERY_MS} ms

${gapsText(rounds)}

${timesText([
  ...steps.map((step) => [`swap: ${step}`, loaded.map((times) => times[step])]),
  ['swap, asleep', totals(idle.swaps)],
  ['table set, asleep', totals(idle.sets)],
])}

machine: ${machine.cpu}, ${machine.cpus} CPUs, load before ${load.toFixed(1)}
asleep before it: ${asleep(idle.swaps)} of ${IDLE_TIMES} swaps, ${asleep(idle.sets)} of the sets
${goalText('p99.9, swaps to none, median of rounds', median(rounds.map(ratios)), P999_RATIO_MAX)}
${goalText('ms of a swap on a sleeping lcore, p99', p99(totals(idle.swaps)), IDLE_MS_MAX)}
${goalText('ms of a table set on one, p99', p99(totals(idle.sets)), IDLE_MS_MAX)}
every sample: bench/results/swap.json`);
process.exit(0);
