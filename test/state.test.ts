/**
 * State over swaps, under traffic: a program counts every packet in a table, in place, so one lost
 * update, one key lost or one copied twice would show in the sums.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Appliance, createAppliance, type WireletError } from '../host/dist/index.js';

const FLOWS = 3000;

function version(name: string): string {
  return fileURLToPath(new URL(`state/${name}`, import.meta.url));
}

/** Two lcores, each with a generator of its own, as fast as they can. */
async function start(): Promise<Appliance> {
  const gen = (net: number): string => `gen:?rate=max&flows=${FLOWS}&src=10.${net}.0.0/16`;
  const appliance = await createAppliance({
    lcores: 2,
    ports: { a: gen(1), b: 'sink:', c: gen(2), d: 'sink:' },
    forward: { a: 'b', c: 'd' },
    programs: { flows: version('flows') },
  });
  appliance.start();
  await until(() => counts(appliance).every((count) => count === FLOWS));
  return appliance;
}

interface Flow {
  packets: number;
  bytes?: number;
}

/** Every entry, by lcore and key. */
async function flows(appliance: Appliance): Promise<Map<string, Flow>> {
  const found = new Map<string, Flow>();
  for await (const { lcore, key, value } of appliance.tables.entries('flows/flows')) {
    const name = `${lcore} ${JSON.stringify(key)}`;
    expect(found.has(name)).toBe(false);
    found.set(name, value as unknown as Flow);
  }
  return found;
}

function counts(appliance: Appliance): number[] {
  return appliance.tables.list().flatMap(({ lcores }) => lcores.map(({ count }) => count));
}

async function until(ready: () => boolean): Promise<void> {
  for (let round = 0; round < 20_000; round++) {
    if (ready()) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  throw new Error('it never came to that');
}

/** Waits for some thousand packets on each lcore. */
async function more(appliance: Appliance): Promise<void> {
  const packets = (): number[] => appliance.stats().lcores.map((lcore) => lcore.packets);
  const before = packets();
  await until(() => packets().every((count, lcore) => count > (before[lcore] ?? 0) + 20_000));
}

/** Stops; every packet that the program ever saw is in the table, once. */
async function settle(appliance: Appliance): Promise<Map<string, Flow>> {
  const { programs } = await appliance.stop();
  const last = await flows(appliance);
  const sum = [...last.values()].reduce((total, { packets }) => total + Number(packets), 0);
  expect(sum).toBe(programs.flows?.packets);
  expect(last.size).toBe(2 * FLOWS);
  return last;
}

describe('state under traffic', { timeout: 120_000 }, () => {
  test('a swap attaches a table as it is', async () => {
    const appliance = await start();
    for (let round = 0; round < 5; round++) {
      const next = version(round % 2 === 0 ? 'flows-again' : 'flows');
      const { change } = await appliance.swap('flows', { source: next });
      expect(change.tables).toMatchObject([{ table: 'flows', action: 'attach' }]);
      await more(appliance);
    }
    await settle(appliance);
  });

  test('a table grows and gets fields, and loses no packet over either', async () => {
    const appliance = await start();
    const grown = await appliance.swap('flows', { source: version('grown') });
    expect(grown.change.tables).toMatchObject([{ action: 'grow' }]);
    expect(appliance.tables.list()[0]?.capacity).toBe(16384);
    await more(appliance);
    const extended = await appliance.swap('flows', { source: version('extended') });
    expect(extended.change.tables).toMatchObject([{ action: 'extend' }]);
    await more(appliance);
    const last = await settle(appliance);
    // New fields began at zero and count since.
    expect([...last.values()].every(({ bytes = 0 }) => Number(bytes) > 0)).toBe(true);
  });

  test('a rollback keeps what was counted since, and the room', async () => {
    const appliance = await start();
    await appliance.swap('flows', { source: version('extended') });
    await more(appliance);
    const { tables } = await appliance.rollback();
    expect(tables).toMatchObject([{ action: 'extend' }]);
    await more(appliance);
    const last = await settle(appliance);
    expect([...last.values()].every(({ bytes }) => bytes === undefined)).toBe(true);
  });

  test('another shape is refused with both shown, or begins empty when asked', async () => {
    const appliance = await start();
    const refused = await appliance
      .swap('flows', { source: version('reshaped') })
      .catch((error: WireletError) => error);
    expect(refused).toMatchObject({ code: 'WIRELET_E_TABLE_SCHEMA' });
    expect((refused as WireletError).message).toContain('kept is hash {source:u32@0');
    await more(appliance);
    expect(appliance.generation).toBe(1);
    const options = { source: version('reshaped'), resetState: true };
    const { change } = await appliance.swap('flows', options);
    expect(change.tables).toMatchObject([{ action: 'reset' }]);
    await more(appliance);
    await appliance.stop();
  });

  test('the host sets, deletes and replaces while packets flow', async () => {
    const appliance = await start();
    const key = { source: 1, destination: 2 };
    await appliance.tables.set('flows/flows', key, { packets: 7 });
    expect(appliance.tables.get('flows/flows', key)).toEqual([{ packets: 7 }, { packets: 7 }]);
    expect(await appliance.tables.delete('flows/flows', key)).toBe(true);
    expect(await appliance.tables.delete('flows/flows', key)).toBe(false);
    await appliance.tables.replace('flows/flows', [{ key, value: { packets: 5 } }]);
    await until(() => counts(appliance).every((count) => count === FLOWS + 1));
    expect(appliance.tables.get('flows/flows', key)).toEqual([{ packets: 5 }, { packets: 5 }]);
    await appliance.stop();
  });
});
