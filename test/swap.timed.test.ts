/** Swaps under load lose nothing, reorder nothing, mix nothing and keep nothing. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import {
  expectNoMoreThanTheMachine,
  type Loss,
  report,
  STALLED_SHARE,
  share,
} from './loss/compare.js';

const PROCESS = fileURLToPath(new URL('swap/process.js', import.meta.url));
const ROUNDS = 20;
const SWAPS_PER_ROUND = 500;
/** Of the process: a leak of 1 KiB a swap would be as much. */
const RSS_GROWTH_BYTES_MAX = 9 << 20;
/** Threads of the pool come and go, and with them a stack and an arena. */
const MAPPINGS_GROWTH_MAX = 20;

interface Memory {
  rssBytes: number;
  mappings: number;
  files: number;
}

interface Port {
  rx: number;
  forwarded: number;
  dropped: number;
  xstats: Record<string, number>;
}

interface Report {
  swaps: number;
  generation: number;
  swapping: Loss[];
  quiet: Loss[];
  /** After each round from swap 1,000 on. */
  memories: Memory[];
  counters: Record<string, number>;
  faults: number;
  ports: Record<'in0' | 'in1' | 'out0' | 'out1', Port>;
}

async function run(mode: string, rounds: number, swaps: number): Promise<Report> {
  const done = await report<Report>(PROCESS, [mode, rounds, swaps], ['--expose-gc']);
  expect(done.swaps).toBe(rounds * swaps);
  expect(done.generation).toBe(done.swaps + 1);
  expect(done.faults).toBe(0);
  for (const lcore of ['0', '1'] as const) expectAllArrived(done, `in${lcore}`, `out${lcore}`);
  expectRightMarks(done);
  return done;
}

/** What was not missed has gone through, in order. */
function expectAllArrived({ ports }: Report, from: 'in0' | 'in1', to: 'out0' | 'out1'): void {
  const { rx, forwarded, dropped, xstats } = ports[from];
  const { received = 0, lost, reordered, duplicates, corrupt, unstamped } = ports[to].xstats;
  expect({ rx, forwarded, dropped }).toEqual({ rx: received, forwarded: received, dropped: 0 });
  expect({ lost, reordered, duplicates, corrupt, unstamped }).toEqual({
    lost: 0,
    reordered: 0,
    duplicates: 0,
    corrupt: 0,
    unstamped: 0,
  });
  const { generated = 0, missed = 0 } = xstats;
  // A few may stand in the ring when the appliance is stopped.
  expect(generated - missed - received).toBeGreaterThanOrEqual(0);
  expect(received).toBeGreaterThan(0);
}

function expectRightMarks({ counters, ports }: Report): void {
  const of = (name: string) => counters[`audit/${name}`] ?? Number.NaN;
  const wrong = ['notOnce', 'wrongVersion', 'mixed', 'wentBack', 'replaced'];
  const found = Object.fromEntries(wrong.map((name) => [name, of(name)]));
  expect(found).toEqual(Object.fromEntries(wrong.map((name) => [name, 0])));
  expect(of('packets')).toBe(ports.in0.rx + ports.in1.rx);
  expect(of('byA') + of('byB')).toBe(of('packets'));
  expect(Math.min(of('byA'), of('byB'))).toBeGreaterThan(0);
}

/** Of many rounds the middle one: what a swap costs, it costs in most rounds, noise in a few. */
function median(losses: Loss[]): number {
  const sorted = losses.map(share).sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

test('10,000 swaps on two lcores under load', { timeout: 900_000 }, async () => {
  const { swapping, quiet, memories } = await run('swaps', ROUNDS, SWAPS_PER_ROUND);
  expectNoMoreThanTheMachine(median(swapping), median(quiet));
  expect(memories).toHaveLength(ROUNDS - 1);
  // Since it was least: appliances that measured the rates may go at any time, and hide a leak.
  const growth = (of: keyof Memory) => {
    const values = memories.map((memory) => memory[of]);
    return (values.at(-1) ?? Number.NaN) - Math.min(...values);
  };
  expect(growth('rssBytes')).toBeLessThan(RSS_GROWTH_BYTES_MAX);
  expect(growth('mappings')).toBeLessThan(MAPPINGS_GROWTH_MAX);
  expect(growth('files')).toBeLessThanOrEqual(1);
});

test('negative control: a swap that stalls is seen as loss, each time', {
  timeout: 300_000,
}, async () => {
  for (let attempt = 0; attempt < 3; attempt++) {
    const { swapping, quiet } = await run('stalled', 3, 40);
    const [tried, machine] = [median(swapping), median(quiet)];
    expect(tried).toBeGreaterThan(STALLED_SHARE);
    expect(() => expectNoMoreThanTheMachine(tried, machine)).toThrow();
  }
});
