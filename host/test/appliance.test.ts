import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Appliance, createAppliance } from '../src/appliance.js';
import type { WireletConfig } from '../src/config/schema.js';
import type { WireletError } from '../src/error.js';
import type { Fault } from '../src/fault.js';
import { conservation } from '../src/stats/conservation.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const GALLERY = fileURLToPath(new URL('../../programs/', import.meta.url));
const ENV = { env: {} };

let appliance: Appliance | undefined;
afterEach(async () => {
  await appliance?.stop().catch(() => undefined);
  appliance = undefined;
});

/** A generator, programs, a sink. */
async function create(
  generator: string,
  programs: WireletConfig['programs'],
  more: Partial<WireletConfig> = {},
): Promise<Appliance> {
  const ports = { in: `gen:?${generator}`, out: 'sink:' };
  const config = { frames: 4096, ports, forward: { in: 'out' }, programs, ...more };
  appliance = await createAppliance(config as WireletConfig, ENV);
  return appliance;
}

describe('an appliance', () => {
  it('runs until its inputs end; every packet is accounted for', async () => {
    const names = 'names=ads.example,www.example';
    const created = await create(`rate=100k&count=20000&protocols=udp,dns&ring=65536&${names}`, {
      guard: { source: `${GALLERY}dnsguard`, settings: { blocked: ['ads.example'] } },
      count: `${GALLERY}count`,
    });
    created.start();
    await created.finished;
    const stats = await created.stop();
    const counters = created.counters();

    expect(conservation(stats)).toMatchObject({ exact: true });
    expect(stats.ports.in).toMatchObject({ rx: 20_000, finished: true, xstats: { missed: 0 } });
    const blocked = stats.ports.in?.drops.program ?? 0;
    expect(blocked).toBeGreaterThan(0);
    expect(counters['guard/blocked']).toBe(BigInt(blocked));
    expect(counters['guard/queries']).toBeGreaterThan(counters['guard/blocked'] ?? 0n);
    expect(stats.programs.count?.packets).toBe(20_000 - blocked);
    expect(stats.programs.guard?.verdicts).toMatchObject({ drop: blocked, redirect: 0 });
    expect(stats.ports.out?.xstats).toMatchObject({ received: 20_000 - blocked, corrupt: 0 });
    expect(stats.ports.out?.latencyNs?.count).toBe(20_000 - blocked);
    expect(stats.lcores).toHaveLength(1);
    expect(stats).toMatchObject({ framesUsed: 0, faults: 0 });
  });

  it('with endless inputs runs until it is stopped, and then is empty', async () => {
    const created = await create('rate=50k', { drop: `${GALLERY}drop` }, { lcores: 2 });
    created.start();
    await vi.waitFor(() => expect(created.stats().ports.in?.rx).toBeGreaterThan(1000));
    const [first, second] = [created.stop(), created.stop()];
    expect(first).toBe(second);
    const stats = await first;
    expect(conservation(stats).exact).toBe(true);
    expect(stats.framesUsed).toBe(0);
    expect(stats.lcores.map(({ state }) => state)).toEqual(['stopped', 'stopped']);
    expect(created.stats()).toBe(stats);
    await created.finished;
  });

  it('counts while it runs, and reading that needs no call into the lcores', async () => {
    const created = await create('rate=20k', {});
    created.start();
    const seen: number[] = [];
    await vi.waitFor(() => {
      const { rx = 0 } = created.stats().ports.in ?? {};
      if (rx > (seen.at(-1) ?? 0)) seen.push(rx);
      expect(seen.length).toBeGreaterThan(3);
    });
    const { ports } = created.stats();
    expect(conservation({ ports }).difference).toBeGreaterThanOrEqual(0);
  });

  it('says which line of TypeScript faulted, with the lines around and the packet', async () => {
    const faults: Fault[] = [];
    const created = await create('rate=10k&count=50&size=90', {
      trap: { source: `${HERE}programs/trap`, settings: { length: 90 } },
    });
    created.on('fault', (fault) => faults.push(fault));
    created.start();
    await created.finished;
    const stats = await created.stop();
    expect(faults[0]).toMatchObject({
      code: 'WIRELET_E_PROGRAM_TRAP',
      program: 'trap',
      file: expect.stringMatching(/programs\/trap\/index\.ts$/),
      line: 9,
      message: expect.stringContaining('outside the packet'),
      codeFrame: expect.stringContaining('>  9 |   if (packet.length == length'),
    });
    expect(faults[0]?.packet).toHaveLength(90);
    expect(stats.programs.trap?.faults).toBe(faults.length);
    expect(conservation(stats).exact).toBe(true);
  });

  it('a listener that throws is reported, and the appliance goes on', async () => {
    const errors: WireletError[] = [];
    const lines: string[] = [];
    const created = await create('rate=10k&count=20', { logger: `${HERE}programs/logger` });
    created.on('log', ({ program, text }) => {
      lines.push(`${program}: ${text}`);
      if (lines.length === 1) throw new Error('at home');
    });
    created.on('error', (error) => errors.push(error));
    created.start();
    await created.finished;
    const stats = await created.stop();
    expect(lines).toEqual(Array.from({ length: 20 }, () => 'logger: a packet'));
    expect(errors.map(({ message }) => message)).toEqual(['at home']);
    expect(stats.ports.out?.tx).toBe(20);
  });

  it('does things in their order only', async () => {
    const created = await create('count=1', {});
    created.start();
    expect(() => created.start()).toThrow('started twice');
    await created.stop();
    expect(() => created.start()).toThrow('started twice');
  });

  it('can be stopped before it was started', async () => {
    const created = await create('count=1', {});
    const stats = await created.stop();
    expect(stats.ports.in?.rx).toBe(0);
    expect(stats.elapsedMs).toBe(0);
  });
});

describe('what an appliance refuses', () => {
  const ports = { in: 'null:', out: 'sink:' };
  const cases: [string, unknown, string][] = [
    ['a program that is not there', { ports, programs: { p: './none' } }, 'PROGRAM_NOT_FOUND'],
    [
      'a program that does not compile',
      { ports, programs: { p: `${HERE}programs/broken` } },
      'PROGRAM_COMPILE',
    ],
    [
      'settings of the wrong type',
      { ports, programs: { p: { source: `${HERE}programs/trap`, settings: { length: 'x' } } } },
      'LOAD_TRAP',
    ],
    ['an option that a driver lacks', { ports: { in: 'gen:?rat=1' } }, 'DEVICE_SPEC'],
    ['a file that is not there', { ports: { in: 'pcap:/none.pcap' } }, 'DEVICE_OPEN'],
    ['a CPU that is not there', { ports, lcores: [4095] }, 'LCORE'],
  ];

  it.each(cases)('%s', async (_name, config, code) => {
    const refused = createAppliance(config as WireletConfig, ENV).then((created) => {
      created.start();
      return created.stop();
    });
    await expect(refused).rejects.toMatchObject({ code: `WIRELET_E_${code}` });
  });
});
