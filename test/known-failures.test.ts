/**
 * What went wrong elsewhere when programs were changed under traffic, as tests of Wirelet. Each
 * names where it was reported, or which code does it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type Appliance,
  conservation,
  createAppliance,
  type WireletConfig,
} from '../host/dist/index.js';

const HERE = fileURLToPath(new URL('known-failures/', import.meta.url));
const OTHERS = fileURLToPath(new URL('../host/test/programs/', import.meta.url));
const generator = 'gen:?rate=50k&ring=65536&flows=32&protocols=udp,tcp';
const PORTS = { in0: generator, in1: generator, out0: 'sink:', out1: 'sink:' };

let appliance: Appliance;
afterEach(async () => {
  const stats = await appliance.stop();
  expect(conservation(stats)).toMatchObject({ exact: true });
  expect(stats.framesUsed).toBe(0);
});

/** Two lcores with traffic of their own. */
async function start(
  programs: NonNullable<WireletConfig['programs']>,
  more: Partial<WireletConfig> = {},
): Promise<WireletConfig> {
  const config: WireletConfig = {
    frames: 2048,
    lcores: 2,
    ports: PORTS,
    forward: { in0: 'out0', in1: 'out1' },
    programs,
    ...more,
  };
  appliance = await createAppliance(config, { env: {} });
  appliance.start();
  await packetsGoOn(2);
  return config;
}

/** Waits until every lcore has received so many packets more. */
async function packetsGoOn(count: number): Promise<void> {
  const received = () => appliance.stats().lcores.map(({ packets }) => packets);
  const before = received();
  await expect
    .poll(() => Math.min(...received().map((now, lcore) => now - (before[lcore] ?? 0))), {
      timeout: 30_000,
      interval: 2,
    })
    .toBeGreaterThanOrEqual(count);
}

const counter = (name: string): number => Number(appliance.counters()[name] ?? Number.NaN);

/** The elements of an array of numbers that are not 0, by number, summed over lcores. */
async function elements(name: string): Promise<Map<number, number>> {
  const sums = new Map<number, number>();
  for await (const { key, value } of appliance.tables.entries(name)) {
    sums.set(Number(key), (sums.get(Number(key)) ?? 0) + Number(value));
  }
  return sums;
}

// DPDK, lib/bpf/bpf_pkt.c: bpf_eth_elf_load() unloads the filter of a queue before it installs the
// new one as a callback. Packets that come in between meet no filter.
describe('a gap with no filter while it is replaced (librte_bpf)', () => {
  const guard = (version: number) => ({ source: `${HERE}guard`, settings: { version } });
  const witness = `${HERE}witness`;

  it('is not there: 100 versions of a filter, and nothing that each of them drops', async () => {
    await start({ guard: guard(1), witness });
    for (let version = 2; version <= 100; version++) {
      await appliance.swap('guard', { settings: { version } });
    }
    await packetsGoOn(100);
    expect(counter('witness/tcp')).toBe(0);
    expect(counter('witness/packets')).toBeGreaterThan(0);
    expect((await elements('witness/marks')).has(100)).toBe(true);
    const { verdicts } = appliance.stats().programs.guard ?? {};
    expect(verdicts?.drop).toBeGreaterThan(0);
  });

  it('would be seen', async () => {
    const config = await start({ guard: guard(1), witness });
    const { change } = await appliance.apply({ ...config, pipeline: ['witness'] });
    expect(change).not.toBeNull();
    await packetsGoOn(100);
    expect(counter('witness/tcp')).toBeGreaterThan(0);
  });
});

// https://github.com/wapc/wapc-rs/issues/50: a reference to the first module's function was kept,
// and every call after a swap went there.
describe('the old export that is still called after a swap (waPC #50)', () => {
  it('is never called again on any lcore once the swap is over', async () => {
    const mark = (version: number) => ({ mark: version });
    const programs = { mark: { source: `${OTHERS}mark`, settings: mark(1) } };
    await start({ ...programs, witness: `${HERE}witness` });
    for (let version = 2; version <= 20; version++) {
      await appliance.swap('mark', { settings: mark(version) });
      const before = await elements('witness/marks');
      await packetsGoOn(100);
      const after = await elements('witness/marks');
      expect(after.get(version)).toBeGreaterThanOrEqual((before.get(version) ?? 0) + 200);
      for (let old = 1; old < version; old++) expect(after.get(old)).toBe(before.get(old));
    }
  });
});

// https://github.com/cilium/cilium/issues/7641: a table of another size was removed and made anew;
// connections that it knew were cut.
describe('state that is lost when a table grows (Cilium #7641)', () => {
  const KEPT = 900;
  /** Flows of the generators have smaller numbers. */
  const keyOf = (index: number) => 0x7000_0000 + index;

  it('is all there, and every packet is counted once', async () => {
    const keeper = { source: `${HERE}keeper`, settings: { capacity: 1024 } };
    // So many that they flow until the last growth, and no longer.
    const finite = `${generator}&count=200000`;
    await start({ keeper }, { ports: { ...PORTS, in0: finite, in1: finite } });
    const { tables } = appliance;
    for (let index = 0; index < KEPT; index++)
      await tables.set('keeper/flows', keyOf(index), index);
    const counted = await elements('keeper/flows');
    expect(counted.size).toBe(KEPT + 2 * 32);
    for (const capacity of [2048, 16_384]) {
      const { change } = await appliance.swap('keeper', { settings: { capacity } });
      expect(change.tables).toEqual([{ program: 'keeper', table: 'flows', action: 'grow' }]);
      expect(change.loss?.drops).toEqual({});
      await packetsGoOn(200);
      const now = await elements('keeper/flows');
      expect(now.size).toBe(counted.size);
      for (let index = 0; index < KEPT; index++) expect(now.get(keyOf(index))).toBe(2 * index);
      for (const [flow, packets] of counted) {
        expect(now.get(flow)).toBeGreaterThanOrEqual(packets);
      }
    }
    await appliance.finished;
    const sum = [...(await elements('keeper/flows'))]
      .filter(([flow]) => flow < keyOf(0))
      .reduce((total, [, packets]) => total + packets, 0);
    expect(sum).toBe(appliance.stats().programs.keeper?.packets);
  });
});

// https://github.com/cilium/cilium/pull/20425 (the comment of 2022-07-28): programs that call each
// other were put into a table one by one, and packets ran through old ones and new ones.
describe('mixed versions in a chain (Cilium #20425)', () => {
  const chain = (first: number, second: number) => ({
    mark: { source: `${OTHERS}mark`, settings: { mark: first } },
    second: { source: `${HERE}second`, settings: { version: second } },
  });

  it('are met by no packet: 100 changes of both programs', async () => {
    const config = await start(chain(1, 1));
    for (let version = 2; version <= 100; version++) {
      await appliance.apply({ ...config, programs: chain(version, version) });
    }
    await packetsGoOn(100);
    expect(counter('second/packets')).toBeGreaterThan(0);
    expect(counter('second/mixed')).toBe(0);
  });

  it('would be seen', async () => {
    const config = await start(chain(1, 1));
    await appliance.apply({ ...config, programs: chain(2, 1) });
    await packetsGoOn(100);
    expect(counter('second/mixed')).toBeGreaterThan(0);
  });
});

// https://github.com/envoyproxy/envoy/pull/36456: what crashes is reloaded; until this had a
// back-off, a plugin that fails at once would have been made again for each request.
describe('a fault storm without back-off (Envoy #36456)', () => {
  const REBUILDS_MAX = 8;

  it('ends: each rebuild waits twice as long, then there is none', async () => {
    await start({ storm: `${HERE}storm` }, { lcores: 1, rollback: { faults: 0 } });
    const health = () => appliance.stats().programs.storm?.health;
    await expect.poll(health, { timeout: 30_000 }).toBe('quarantined');
    const times = [...(await elements('storm/times'))].sort(([a], [b]) => a - b);
    expect(times).toHaveLength(REBUILDS_MAX + 1);
    for (let rebuild = 1; rebuild <= REBUILDS_MAX; rebuild++) {
      const waitedNs = (times[rebuild]?.[1] ?? 0) - (times[rebuild - 1]?.[1] ?? 0);
      expect(waitedNs).toBeGreaterThanOrEqual(2 ** (rebuild - 1) * 1e6);
    }
    // Packets that came meanwhile cost nothing but themselves.
    await packetsGoOn(1000);
    const { faults, rebuilds } = appliance.stats().programs.storm ?? {};
    expect({ faults, rebuilds }).toEqual({ faults: REBUILDS_MAX + 1, rebuilds: REBUILDS_MAX });
  });
});

// https://github.com/wasmerio/wasmer/issues/3930 and 3485: what an instance had was still there
// when it was gone.
describe('memory that is kept after a module was unloaded (wasmer #3930)', () => {
  const SWAPS = 100;
  /** All of it: instances, frames, counters, settings and tables are mapped by name. */
  const mappings = () =>
    readFileSync('/proc/self/maps', 'utf8')
      .split('\n')
      .filter((line) => line.includes('/memfd:wirelet-')).length;
  const used = () => ({ mappings: mappings(), files: readdirSync('/proc/self/fd').length });

  it('is given back, swap by swap and program by program', async () => {
    const keeper = { source: `${HERE}keeper`, settings: { capacity: 1024 } };
    const config = await start({ keeper });
    const more = {
      ...config,
      programs: { keeper, witness: `${HERE}witness`, second: `${HERE}second` },
    };
    const round = async () => {
      await appliance.apply(more);
      for (let swap = 0; swap < SWAPS; swap++)
        await appliance.swap('keeper', { settings: { capacity: 1024 } });
      await appliance.apply(config);
      // What the generation before had is kept for a rollback; after this that is the same.
      await appliance.swap('keeper', { settings: { capacity: 1024 } });
    };
    await round();
    const settled = used();
    await round();
    expect(used()).toEqual(settled);
    await appliance.apply(more);
    expect(used().mappings).toBeGreaterThan(settled.mappings);
  });
});
