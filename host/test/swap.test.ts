import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Appliance, createAppliance } from '../src/appliance.js';
import type { WireletConfig } from '../src/config/schema.js';
import type { WireletError } from '../src/error.js';
import type { Quarantine } from '../src/events.js';
import type { Fault } from '../src/fault.js';
import type { GenerationChange } from '../src/generations.js';
import { conservation } from '../src/stats/conservation.js';

const PROGRAMS = fileURLToPath(new URL('./programs/', import.meta.url));
const GALLERY = fileURLToPath(new URL('../../programs/', import.meta.url));
const PORTS = { in: 'gen:?rate=20k&ring=65536&size=60', out: 'sink:' };
/** Traps on every packet that `PORTS` generate. */
const TRAP = { source: `${PROGRAMS}trap`, settings: { length: 60 } };

let appliance: Appliance;
let folder: string;
let faults: Fault[];
let changes: GenerationChange[];
let quarantines: Quarantine[];
let errors: WireletError[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wirelet-swap-'));
  [faults, changes, quarantines, errors] = [[], [], [], []];
});
afterEach(async () => {
  const stats = await appliance.stop();
  rmSync(folder, { recursive: true });
  // Whatever happened, every packet is counted once and none is kept.
  expect(conservation(stats)).toMatchObject({ exact: true });
  expect(stats.framesUsed).toBe(0);
  expect(errors).toEqual([]);
});

async function start(programs: WireletConfig['programs'], more: Partial<WireletConfig> = {}) {
  const config: WireletConfig = {
    frames: 2048,
    ports: PORTS,
    forward: { in: 'out' },
    ...(programs ? { programs } : {}),
    ...more,
  };
  appliance = await createAppliance(config, { env: {}, faultDirectory: join(folder, 'faults') });
  appliance.on('fault', (fault) => faults.push(fault));
  appliance.on('swap', (change) => changes.push(change));
  appliance.on('rollback', (change) => changes.push(change));
  appliance.on('quarantine', (quarantine) => quarantines.push(quarantine));
  appliance.on('error', (error) => errors.push(error));
  appliance.start();
  await expect.poll(() => appliance.stats().ports.in?.rx).toBeGreaterThan(100);
  return config;
}

describe('a swap', () => {
  it('changes one program; the others keep their instances and counters', async () => {
    await start({ mark: `${PROGRAMS}mark`, count: `${GALLERY}count` });
    const before = appliance.counters()['count/packets'] ?? 0n;
    const { change } = await appliance.swap('mark', { settings: { mark: 7 } });
    expect(change).toMatchObject({ kind: 'swap', from: 1, to: 2, programs: ['mark'] });
    expect(change.loss).toEqual({ packets: 0, missed: 0, drops: {} });
    expect(appliance.generation).toBe(2);
    expect(appliance.config.programs[0]?.settings).toEqual({ mark: 7 });
    expect(appliance.counters()['count/packets']).toBeGreaterThanOrEqual(before);
    const stats = appliance.stats();
    expect(stats.generation).toBe(2);
    expect(stats.lcores.map(({ generation }) => generation)).toEqual([2]);
    expect(changes).toEqual([change]);
  });

  it('apply adds, removes and reorders; stats and counters follow', async () => {
    const config = await start({ mark: `${PROGRAMS}mark`, count: `${GALLERY}count` });
    const programs = {
      drop: `${GALLERY}drop`,
      count: `${GALLERY}count`,
      swap: `${GALLERY}macswap`,
    };
    const { plan, change } = await appliance.apply({
      ...config,
      programs,
      pipeline: ['count', 'swap'],
    });
    expect(plan.actions.map(({ kind }) => kind)).toEqual([
      'add',
      'keep',
      'add',
      'remove',
      'port',
      'port',
    ]);
    expect(change?.programs.toSorted()).toEqual(['drop', 'mark', 'swap']);
    await expect.poll(() => appliance.stats().programs.swap?.packets).toBeGreaterThan(0);
    const stats = appliance.stats();
    expect(Object.keys(stats.programs).toSorted()).toEqual(['count', 'drop', 'swap']);
    expect(stats.programs.drop?.packets).toBe(0);
    expect(Object.keys(appliance.counters()).some((name) => name.startsWith('mark/'))).toBe(false);
    expect(
      (await appliance.apply({ ...config, programs, pipeline: ['count', 'swap'] })).change,
    ).toBeNull();
  });

  it('wants an appliance that runs', async () => {
    appliance = await createAppliance({ ports: PORTS }, { env: {} });
    await expect(appliance.swap('x')).rejects.toMatchObject({ code: 'WIRELET_E_STATE' });
    await expect(appliance.rollback()).rejects.toMatchObject({ code: 'WIRELET_E_STATE' });
    await appliance.stop();
    await expect(appliance.plan({ ports: PORTS })).rejects.toMatchObject({
      code: 'WIRELET_E_STATE',
    });
  });

  it('that is under way when the appliance stops ends with a code, or in time', async () => {
    await start({ mark: `${PROGRAMS}mark` });
    const swaps = Array.from({ length: 5 }, () =>
      appliance.swap('mark').then(
        () => 'done',
        (e) => e.code,
      ),
    );
    await Promise.all([appliance.stop(), ...swaps]);
    for (const end of await Promise.all(swaps)) expect(['done', 'WIRELET_E_STATE']).toContain(end);
  });
});

describe('what is refused leaves the old generation untouched', () => {
  it.each([
    ['does not compile', { source: `${PROGRAMS}broken` }, 'PROGRAM_COMPILE'],
    ['is not there', { source: `${PROGRAMS}none` }, 'PROGRAM_NOT_FOUND'],
    ['traps in onLoad', { source: `${PROGRAMS}trap`, settings: { length: 'x' } }, 'LOAD_TRAP'],
    ['never ends onLoad', { source: `${PROGRAMS}endless-load` }, 'LOAD_DEADLINE'],
    ['has tables of another shape', { source: `${PROGRAMS}flows-other` }, 'TABLE_SCHEMA'],
    [
      'differs in shadow',
      { source: `${GALLERY}drop`, shadow: { durationMs: 200, sampleOneIn: 1 } },
      'SHADOW_DIFFERS',
    ],
    [
      'faults in shadow',
      { ...TRAP, shadow: { durationMs: 200, sampleOneIn: 8 } },
      'SHADOW_DIFFERS',
    ],
  ])('a program that %s', async (_name, options, code) => {
    await start({ flows: `${PROGRAMS}flows` });
    const before = appliance.config;
    const refused = appliance.swap('flows', options);
    await expect(refused).rejects.toMatchObject({ code: `WIRELET_E_${code}` });
    expect(appliance.generation).toBe(1);
    expect(appliance.config).toBe(before);
    const { packets = 0 } = appliance.stats().programs.flows ?? {};
    await expect.poll(() => appliance.stats().programs.flows?.packets).toBeGreaterThan(packets);
    expect(appliance.stats().ports.in?.dropped).toBe(0);
    expect(faults).toEqual([]);
  });

  it('another shape is taken with resetState; the table begins empty', async () => {
    await start({ flows: `${PROGRAMS}flows` });
    expect(appliance.tables.list()[0]).toMatchObject({
      name: 'flows',
      lcores: [{ count: expect.any(Number) }],
    });
    const { change } = await appliance.swap('flows', {
      source: `${PROGRAMS}flows-other`,
      resetState: true,
    });
    expect(change.tables).toContainEqual({ program: 'flows', table: 'flows', action: 'reset' });
    expect(appliance.tables.list().slice(0, 1)).toMatchObject([
      { name: 'flows', key: 'source u32, port u16', lcores: [{ count: 0 }] },
    ]);
  });
});

describe('a program that faults after its swap', () => {
  it('brings the one before back; the faults name the line of the one that faulted', async () => {
    await start({ guard: { source: `${GALLERY}count`, settings: TRAP.settings } });
    await appliance.swap('guard', { source: TRAP.source });
    await expect.poll(() => changes.at(-1)?.kind).toBe('rollback');
    expect(changes.at(-1)).toMatchObject({ from: 2, to: 3, automatic: true, programs: ['guard'] });
    expect(appliance.config.programs[0]?.source).toBe(`${GALLERY}count`);
    expect(faults).toHaveLength(3);
    for (const fault of faults) {
      expect(fault).toMatchObject({
        tenant: 'default',
        program: 'guard',
        generation: 2,
        file: expect.stringMatching(/programs\/trap\/index\.ts$/),
        line: 9,
      });
    }
    const { packets = 0 } = appliance.stats().programs.guard ?? {};
    await expect.poll(() => appliance.stats().programs.guard?.packets).toBeGreaterThan(packets);
  });

  it('saves its packets, each with its place', async () => {
    await start({ guard: { source: `${GALLERY}count`, settings: TRAP.settings } });
    await appliance.swap('guard', { source: TRAP.source });
    await expect.poll(() => faults.length).toBe(3);
    const saved = faults.map((fault) => fault.saved ?? '');
    expect(readdirSync(join(folder, 'faults'))).toHaveLength(3);
    for (const path of saved) {
      expect(readFileSync(path, 'latin1')).toMatch(
        /default\/guard, generation 2, .*trap\/index\.ts:9:/,
      );
    }
  });

  it('stays where the config wants no rollback, and is quarantined in the end', async () => {
    const config = await start({ guard: { source: `${GALLERY}count`, settings: TRAP.settings } });
    const options = { rollback: { faults: 0 }, faults: { filesMax: 0 } };
    expect((await appliance.apply({ ...config, ...options })).change).toBeNull();
    await appliance.swap('guard', { source: TRAP.source });
    await expect
      .poll(() => quarantines, { timeout: 20_000 })
      .toMatchObject([{ tenant: 'default', program: 'guard', lcore: 0, generation: 2 }]);
    expect(appliance.stats().programs.guard?.health).toBe('quarantined');
    expect(existsSync(join(folder, 'faults'))).toBe(false);
    // A swap is the way out.
    await appliance.swap('guard', { source: `${GALLERY}count` });
    expect(appliance.stats().programs.guard?.health).toBe('running');
    expect(appliance.generation).toBe(3);
  });

  it('with onFault previous, the one before answers for it', async () => {
    const guard = {
      source: `${GALLERY}count`,
      settings: TRAP.settings,
      onFault: 'previous' as const,
    };
    await start({ guard }, { rollback: { faults: 0 } });
    await appliance.swap('guard', { source: TRAP.source });
    await expect.poll(() => faults.length).toBeGreaterThan(2);
    const { drops } = appliance.stats().ports.in ?? {};
    expect(drops?.program_down).toBe(0);
    await appliance.rollback();
  });
});

describe('a shadow run', () => {
  it('of an equal program shows no difference, and then swaps', async () => {
    await start({ mark: `${PROGRAMS}mark` });
    const shadow = { durationMs: 200, sampleOneIn: 1 };
    const { shadow: report, change } = await appliance.swap('mark', { shadow });
    expect(report).toMatchObject({ program: 'mark', differences: 0, examples: [] });
    expect(report?.sampled).toBeGreaterThan(0);
    expect(change.to).toBe(2);
  });

  it('within maxDifferences swaps, and shows both versions', async () => {
    await start({ mark: `${PROGRAMS}mark` });
    const shadow = { durationMs: 200, sampleOneIn: 1, maxDifferences: 1_000_000 };
    const { shadow: report } = await appliance.swap('mark', { settings: { mark: 9 }, shadow });
    expect(report?.differences).toBe(report?.sampled);
    expect(report?.examples[0]).toMatchObject({
      port: 'in',
      current: { verdict: 'pass', egress: null, mark: 0 },
      candidate: { verdict: 'pass', egress: null, mark: 9 },
    });
    expect(report?.examples[0]?.packet).toHaveLength(60);
  });
});
