import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const PROCESS = fileURLToPath(new URL('blocked/process.js', import.meta.url));
const ATTEMPTS = 3;
/** What the stalls of the negative control cost at least, as a share of all packets. */
const STALLED_SHARE = 0.02;

interface Report {
  rate: number;
  count: number;
  generated: number;
  missed: number;
  received: number;
  lost: number;
  reordered: number;
  callbacks: number;
}

async function run(mode: string, seconds: number): Promise<Report> {
  const { stdout } = await promisify(execFile)(process.execPath, [PROCESS, mode, String(seconds)]);
  const report: Report = JSON.parse(stdout);
  process.stdout.write(stdout);
  // Whatever the machine did, every packet is accounted for.
  expect(report.generated).toBe(report.count);
  expect(report.received + report.missed).toBe(report.count);
  expect([report.lost, report.reordered]).toEqual([0, 0]);
  return report;
}

const share = ({ missed, count }: Report) => missed / count;

/**
 * The goal is a run that misses nothing, and one is enough: what the host costs, it costs each
 * time. But these cores are shared, and a hypervisor that takes one away for 8 to 16 ms (seen, with
 * nothing else running) makes even an idle host miss packets. Where no run misses nothing, the
 * least may be 1 % of the packets, or twice what an idle host misses; the control loses over 2 %.
 */
async function costsNothing(mode: string, seconds: number): Promise<Report> {
  const [runs, controls]: [Report[], Report[]] = [[], []];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const report = await run(mode, seconds);
    if (report.missed === 0) return report;
    runs.push(report);
    controls.push(await run('idle', seconds));
  }
  const least = Math.min(...runs.map(share));
  const machine = Math.max(...controls.map(share));
  expect(least).toBeLessThan(Math.max(2 * machine, STALLED_SHARE / 2));
  const [report] = runs;
  if (!report) throw new Error('no run');
  return report;
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
