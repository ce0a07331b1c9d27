/** What soaks have in common: how long, samples of a process once a second, and what must hold. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Report } from './appliance.js';
import type { PeerCounts } from './soak-peers.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const MINUTES = Number(process.env.WIRELET_SOAK_MINUTES ?? 10);
export const SECONDS = Math.round(MINUTES * 60);
/** Compilers and garbage of the start are gone by then. */
const SETTLE_S = Math.min(60, SECONDS / 4);
const SAMPLE_MS = 1000;
/** What garbage that is not collected yet may come to, and a worker of Node's. */
const RSS_GROWTH_MAX = 24 * 2 ** 20;
const MAPPINGS_GROWTH_MAX = 40;
const DESCRIPTORS_GROWTH_MAX = 4;

interface Sample {
  s: number;
  rss: number;
  mappings: number;
  descriptors: number;
}

export interface Soak {
  samples: Sample[];
  report: Report;
  peers: PeerCounts[];
}

/** What must hold, and whether it does. */
export type Finding = [string, boolean];

function sampleOf(pid: number, s: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const rss = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024;
  const mappings = readFileSync(`/proc/${pid}/maps`, 'utf8').trim().split('\n').length;
  return { s, rss, mappings, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

/** A sample a second, as long as the peers send; `work` is done after each. */
export async function watch(pid: number, work?: () => Promise<void>): Promise<Sample[]> {
  const samples: Sample[] = [];
  const started = performance.now();
  for (let s = 0; s < SECONDS; s = Math.round((performance.now() - started) / 1000)) {
    samples.push(sampleOf(pid, s));
    if (s > 0 && s % 60 === 0) process.stderr.write(`soak: ${s / 60} of ${MINUTES} minutes\n`);
    await Promise.all([work?.(), new Promise((resolve) => setTimeout(resolve, SAMPLE_MS))]);
  }
  return samples;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;
}

/** How much more of it there is in the last quarter than in the first one after the settling. */
function growth(samples: readonly Sample[], key: 'rss' | 'mappings' | 'descriptors'): number {
  const settled = samples.filter(({ s }) => s >= SETTLE_S).map((sample) => sample[key]);
  const quarter = Math.max(1, settled.length >> 2);
  return median(settled.slice(-quarter)) - median(settled.slice(0, quarter));
}

/** What holds in every soak: packets and frames are accounted for, nothing grows. */
export function commonFindings({ samples, report, peers }: Soak): Finding[] {
  const { conservation, stats, errors } = report;
  const [rss, mappings, descriptors] = [
    growth(samples, 'rss'),
    growth(samples, 'mappings'),
    growth(samples, 'descriptors'),
  ];
  const received = Object.values(stats.ports).reduce((sum, { rx }) => sum + rx, 0);
  const equal = peers.reduce((sum, peer) => sum + peer.equal, 0);
  const broken = peers.reduce((sum, peer) => sum + peer.broken, 0);
  const different = peers.reduce((sum, peer) => sum + peer.different, 0);
  return [
    [`every packet has one outcome (${received} received)`, conservation.exact],
    [`every frame is back (${stats.framesUsed} are not)`, stats.framesUsed === 0],
    [`no errors (${errors.length})`, errors.length === 0],
    [`TCP brings what was sent (${equal} equal, ${different} not)`, equal > 0 && different === 0],
    [`no TCP connection breaks (${broken})`, broken === 0],
    [`memory is flat (${(rss / 2 ** 20).toFixed(1)} MiB more)`, rss <= RSS_GROWTH_MAX],
    [`mappings are flat (${mappings} more)`, mappings <= MAPPINGS_GROWTH_MAX],
    [`descriptors are flat (${descriptors} more)`, descriptors <= DESCRIPTORS_GROWTH_MAX],
  ];
}

/** Runs a soak, says what holds, and keeps it all in bench/results/NAME.json. */
export async function conclude(
  name: string,
  config: object,
  soak: () => Promise<Soak>,
  findings: (soaked: Soak) => Finding[],
): Promise<void> {
  process.stderr.write(`soak: ${MINUTES} minutes\n`);
  const time = new Date().toISOString();
  const soaked = await soak();
  const found = [...commonFindings(soaked), ...findings(soaked)];
  for (const [what, holds] of found) {
    process.stdout.write(`${holds ? 'ok  ' : 'FAIL'}  ${what}\n`);
  }
  const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, kernel: release() };
  const conditions = { load: loadavg(), node: process.version };
  const results = join(ROOT, 'bench/results');
  mkdirSync(results, { recursive: true });
  const kept = { time, minutes: MINUTES, machine, conditions, config, found, ...soaked };
  // No paths of this machine in it.
  const text = JSON.stringify(kept).replaceAll(ROOT, '');
  writeFileSync(join(results, `${name}.json`), `${text}\n`);
  process.exitCode = found.every(([, holds]) => holds) ? 0 : 1;
}
