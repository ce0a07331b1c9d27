import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import {
  expectNoMoreThanTheMachine,
  type Loss,
  report,
  STALLED_SHARE,
  share,
} from './loss/compare.js';

const PROCESS = fileURLToPath(new URL('blocked/process.js', import.meta.url));
const ATTEMPTS = 3;

interface Report extends Loss {
  rate: number;
  generated: number;
  received: number;
  lost: number;
  reordered: number;
  callbacks: number;
}

async function run(mode: string, seconds: number): Promise<Report> {
  const done = await report<Report>(PROCESS, [mode, seconds]);
  // Whatever the machine did, every packet is accounted for.
  expect(done.generated).toBe(done.count);
  expect(done.received + done.missed).toBe(done.count);
  expect([done.lost, done.reordered]).toEqual([0, 0]);
  return done;
}

/** One run that misses nothing is enough: what the host costs, it costs each time. */
async function costsNothing(mode: string, seconds: number): Promise<Report> {
  const [runs, controls]: [Report[], Report[]] = [[], []];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const done = await run(mode, seconds);
    if (done.missed === 0) return done;
    runs.push(done);
    controls.push(await run('idle', seconds));
  }
  expectNoMoreThanTheMachine(Math.min(...runs.map(share)), Math.max(...controls.map(share)));
  const [first] = runs;
  if (!first) throw new Error('no run');
  return first;
}

test('the event loop blocked for 10 s costs no packet', { timeout: 180_000 }, async () => {
  await costsNothing('blocked', 10);
});

test('callbacks that throw cost no packet', { timeout: 180_000 }, async () => {
  const { callbacks } = await costsNothing('throws', 3);
  expect(callbacks).toBeGreaterThan(0);
});

test('negative control: a program that stalls is seen as loss, each time', {
  timeout: 180_000,
}, async () => {
  for (let attempt = 0; attempt < 3; attempt++) {
    expect(share(await run('stalled', 2))).toBeGreaterThan(STALLED_SHARE);
  }
});
