/**
 * A table of a million flows that every packet changes: swapped, grown, rolled back, and its
 * process killed at random moments. After each, every entry is held against a model
 * (million/model.js) that knows what the n-th packet does.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { churning, clockOf, readFlows, source } from './million/appliance.js';
import { Model } from './million/model.js';

const SWAPS = 100;
const KILLS = 50;
/** Enough for every key to have been set. */
const WARM = 10_000_000;
const CHILD = fileURLToPath(new URL('million/child.js', import.meta.url));

type Churning = Awaited<ReturnType<typeof churning>>;

const folders: string[] = [];
let child: ChildProcess | undefined;

afterEach(() => {
  child?.kill('SIGKILL');
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function warm(appliance: Churning): Promise<void> {
  appliance.start();
  for (let round = 0; clockOf(appliance) < WARM; round++) {
    expect(round).toBeLessThan(10_000);
    await sleep(20);
  }
}

async function verify(appliance: Churning, model: Model): Promise<number> {
  const { entries, first, last } = await readFlows(appliance);
  return model.verify(entries, first, last);
}

function longestGapMs(appliance: Churning): string {
  const gap = Math.max(...appliance.stats().lcores.map(({ gapMaxNs }) => gapMaxNs));
  return (gap / 1e6).toFixed(2);
}

function say(text: string): void {
  process.stdout.write(`million: ${text}\n`);
}

test('swaps, a growth and a rollback lose and tear no entry', { timeout: 900_000 }, async () => {
  const [appliance, model] = [await churning(), new Model()];
  await warm(appliance);
  expect(await verify(appliance, model)).toBeGreaterThan(850_000);
  say(`longest gap before the first swap: ${longestGapMs(appliance)} ms`);
  for (let round = 0; round < SWAPS; round++) {
    // Half of them before the growth, half after it: a smaller wish keeps the larger table.
    const next = round >= SWAPS / 2 && round % 2 === 0 ? 'larger' : 'churn';
    const { change } = await appliance.swap('churn', { source: source(next) });
    const action = round === SWAPS / 2 ? 'grow' : 'attach';
    expect(change.tables.find(({ table }) => table === 'flows')?.action).toBe(action);
    await verify(appliance, model);
    if (action === 'attach') continue;
    const { timesMs: times } = change;
    const cost = `copied in ${times?.copy.toFixed(0)} ms, adopted in ${times?.adopt.toFixed(2)} ms`;
    say(`growth to 2 M: ${cost}, longest gap so far ${longestGapMs(appliance)} ms`);
  }
  await appliance.rollback();
  await verify(appliance, model);
  say(`longest gap at the end: ${longestGapMs(appliance)} ms`);
  await appliance.stop();
  // Nobody writes any more: what is there is exactly what the model has.
  const { entries, first, last } = await readFlows(appliance);
  expect(last).toBe(first);
  expect(model.verify(entries, first, last)).toBe(entries.length);
});

/** Runs the appliance for `ms` in a process of its own, and kills that. */
async function runAndKill(folder: string, ms: number): Promise<void> {
  const stdio: StdioOptions = ['ignore', 'pipe', 'inherit'];
  const running = spawn(process.execPath, [CHILD, folder], { stdio });
  child = running;
  await new Promise<void>((resolve, reject) => {
    running.stdout?.once('data', () => resolve());
    running.once('exit', (status) => reject(new Error(`it ended with ${status}`)));
  });
  await sleep(ms);
  running.removeAllListeners('exit');
  const ended = new Promise((resolve) => running.once('exit', resolve));
  running.kill('SIGKILL');
  await ended;
}

test('killed at random moments, it is found again, whole', { timeout: 900_000 }, async () => {
  const folder = mkdtempSync('/dev/shm/wirelet-million-');
  folders.push(folder);
  const model = new Model();
  let clock = 0;
  for (let round = 0; round < KILLS; round++) {
    await runAndKill(folder, 50 + Math.random() * 400);
    const appliance = await churning(folder);
    const { entries, first } = await readFlows(appliance);
    expect(first).toBeGreaterThan(clock);
    clock = first;
    // The packet that the kill came in had changed its key, or had not.
    model.verify(entries, first, first + 1);
    await appliance.stop();
  }
  say(`${KILLS} kills, ${clock} packets, every entry as the model has it`);
});
