/**
 * `dpdk` ports under programs and beside other devices, over drivers of DPDK's that need no NIC.
 * This file is a process of its own: EAL starts once in it, and appliances come and go.
 *
 * Needs the plugin, which `npm run setup` builds where `pkg-config` knows libdpdk.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { decodeCapture, encodeCapture } from '../host/src/capture-file.js';
import { type Appliance, conservation, createAppliance, type Stats } from '../host/src/index.js';
import { jsonOf, wirelet } from '../host/test/binary.js';

const PLUGIN = fileURLToPath(new URL('../host/wirelet-dpdk.so', import.meta.url));
const PROGRAMS = fileURLToPath(new URL('../programs/', import.meta.url));
const TIMES = fileURLToPath(new URL('dpdk/times', import.meta.url));
const PATIENCE_MS = 20_000;
const SMALL = '?rxd=128&txd=128';

type Config = Parameters<typeof createAppliance>[0];

/** Packet `index`: Ethernet and bytes that tell its number. */
function packet(index: number): Uint8Array {
  const bytes = new Uint8Array(60 + ((index * 37) % 1455)).map((_, at) => (at * 7) ^ index);
  bytes.set([2, 0, 0, 0, 0, 1, 6, 0, 0, 0, 0, 2, 0x88, 0xb5]);
  return bytes;
}

function swapped(bytes: Uint8Array): Uint8Array {
  return Uint8Array.of(...bytes.slice(6, 12), ...bytes.slice(0, 6), ...bytes.slice(12));
}

test('without the plugin a `dpdk` port is one clear error, and others run', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wirelet-dpdk-'));
  const write = (ports: object): void =>
    writeFileSync(join(folder, 'wirelet.config.json'), JSON.stringify({ ports }));
  const env = { WIRELET_DPDK_PLUGIN: join(folder, 'wirelet-dpdk.so') };
  const run = () => wirelet(['run', folder, '--json', '--socket', join(folder, 's')], { env });
  try {
    write({ a: 'dpdk:net_null0' });
    const ended = await run();
    expect(ended.status).toBe(6);
    const { code, message, hint } = jsonOf(ended).data;
    expect(code).toBe('WIRELET_E_DPDK_MISSING');
    expect(message).toContain('wirelet-dpdk.so');
    expect(hint).toContain('libdpdk-dev');
    write({ a: 'null:?rx=60&packets=10' });
    expect((await run()).status).toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const missing = existsSync(PLUGIN) ? '' : ' (no plugin: pkg-config knows no libdpdk)';
describe.skipIf(missing !== '')(`dpdk${missing}`, () => {
  let folder: string;
  let appliance: Appliance | undefined;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'wirelet-dpdk-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(async () => {
    await appliance?.stop().catch(() => undefined);
    appliance = undefined;
  });

  async function start(config: Config): Promise<Appliance> {
    appliance = await createAppliance({ frames: 4096, ...config }, { directory: folder, env: {} });
    appliance.start();
    return appliance;
  }

  async function until(reached: (stats: Stats) => boolean): Promise<void> {
    const started = performance.now();
    while (appliance && !reached(appliance.stats())) {
      if (performance.now() - started > PATIENCE_MS) throw new Error('it never happened');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** The last word: all packets accounted for, all frames back. */
  async function stop(): Promise<Stats> {
    const stats = await (appliance as Appliance).stop();
    expect(conservation(stats)).toMatchObject({ exact: true });
    expect(stats.framesUsed).toBe(0);
    return stats;
  }

  test('a program rewrites, in place, what a driver wrote and a driver sends', async () => {
    const sent = Array.from({ length: 500 }, (_, index) => packet(index));
    writeFileSync(join(folder, 'in.pcap'), encodeCapture(sent, 1e9));
    // Twice: a second start in the same process is a start like the first.
    for (const round of [1, 2]) {
      const out = `out${round}.pcap`;
      await start({
        ports: { wire: `dpdk:net_pcap0,rx_pcap=in.pcap,tx_pcap=${out}${SMALL}` },
        forward: { wire: 'wire' },
        programs: { macswap: `${PROGRAMS}macswap` },
      });
      await until(({ ports }) => ports.wire?.tx === 500);
      const { ports } = await stop();
      expect(ports.wire).toMatchObject({ rx: 500, forwarded: 500, dropped: 0 });
      const received = decodeCapture(readFileSync(join(folder, out)));
      expect(received.map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual(
        sent.map((bytes) => Buffer.from(swapped(bytes)).toString('hex')),
      );
    }
  });

  test("a program is told the driver's times", async () => {
    const sent = Array.from({ length: 100 }, (_, index) => packet(index));
    writeFileSync(join(folder, 'in.pcap'), encodeCapture(sent, 1e9));
    await start({
      ports: { wire: `dpdk:net_pcap1,rx_pcap=in.pcap,tx_pcap=times.pcap${SMALL}` },
      forward: { wire: 'wire' },
      programs: { times: TIMES },
    });
    await until(({ ports }) => ports.wire?.tx === 100);
    await stop();
    const received = decodeCapture(readFileSync(join(folder, 'times.pcap')));
    // The file has a packet every millisecond.
    expect(received.map((bytes) => Buffer.from(bytes).readBigUInt64BE(14))).toEqual(
      sent.map((_, index) => BigInt(1e18) + BigInt(index) * 1_000_000n),
    );
  });

  test('from generator to driver to sink on two lcores, none is lost', async () => {
    await start({
      lcores: 2,
      ports: {
        in: 'gen:?count=30000&rate=200k&flows=16&ring=65536',
        wire: `dpdk:net_ring0${SMALL}`,
        out: 'sink:',
      },
      forward: { in: 'wire', wire: 'out' },
      programs: { count: `${PROGRAMS}count` },
    });
    await until(({ ports }) => ports.out?.tx === 30_000);
    const { ports } = await stop();
    expect(ports.in).toMatchObject({ rx: 30_000, forwarded: 30_000 });
    expect(ports.wire).toMatchObject({ rx: 30_000, tx: 30_000, forwarded: 30_000 });
    expect(ports.out?.xstats).toMatchObject({ lost: 0, corrupt: 0, reordered: 0 });
  });

  test('without programs packets go straight through, and each is counted', async () => {
    await start({
      ports: {
        in: 'gen:?count=30000&rate=200k&flows=16&ring=65536&size=imix',
        a: `dpdk:net_ring1${SMALL}`,
        b: `dpdk:net_ring2${SMALL}`,
        out: 'sink:',
      },
      forward: { in: 'a', a: 'b', b: 'out' },
    });
    await until(({ ports }) => ports.out?.tx === 30_000);
    const { ports } = await stop();
    const bytes = ports.in?.rxBytes;
    expect(bytes).toBeGreaterThan(30_000 * 60);
    const passed = { rx: 30_000, rxBytes: bytes, tx: 30_000, txBytes: bytes, forwarded: 30_000 };
    expect([ports.a, ports.b]).toMatchObject([passed, passed]);
    expect(ports.out?.xstats).toMatchObject({ lost: 0, corrupt: 0, reordered: 0 });
  });

  test('two ports of DPDK exchange packets while the program is swapped', async () => {
    const config = (program: string): Config => ({
      frames: 4096,
      lcores: 2,
      ports: {
        a: { device: `dpdk:net_null0,size=64${SMALL}`, queues: 2 },
        b: { device: `dpdk:net_null1,size=64${SMALL}`, queues: 2 },
      },
      forward: { a: 'b', b: 'a' },
      programs: { work: `${PROGRAMS}${program}` },
    });
    const running = await start(config('macswap'));
    await until(({ ports }) => (ports.b?.tx ?? 0) > 100_000);
    await running.apply(config('count'));
    const swappedAt = running.stats().ports.b?.tx ?? 0;
    await until(({ ports }) => (ports.b?.tx ?? 0) > swappedAt + 100_000);
    expect(running.generation).toBe(2);
    const { ports } = await stop();
    expect([ports.a?.dropped, ports.b?.dropped]).toEqual([0, 0]);
  });

  test('link, MAC address, MTU and statistics of the driver are shown', async () => {
    await start({ ports: { a: `dpdk:net_null2${SMALL}&mtu=1400` }, forward: { a: 'a' } });
    await until(({ ports }) => (ports.a?.rx ?? 0) > 0);
    const { ports } = (appliance as Appliance).stats();
    expect(ports.a).toMatchObject({ link: 'up', mtu: 1400, finished: false });
    expect(ports.a?.mac).toMatch(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
    const general = ['rx_missed', 'rx_errors', 'rx_no_frame', 'tx_errors', 'linearized'];
    expect(Object.keys(ports.a?.xstats ?? {})).toEqual(expect.arrayContaining(general));
    expect(ports.a?.xstats).toMatchObject({ link_mbps: 10_000, rx_missed: 0 });
    await stop();
  });

  test('a port that does not open closes those that have', async () => {
    const config = { ports: { a: `dpdk:net_null3${SMALL}`, b: `dpdk:net_nothing0${SMALL}` } };
    for (let round = 0; round < 2; round++) {
      await expect(start(config)).rejects.toMatchObject({
        code: 'WIRELET_E_DEVICE_OPEN',
        message: expect.stringMatching(/b: dpdk:net_nothing0: DPDK can't plug/),
      });
    }
    await start({ ports: { a: `dpdk:net_null3${SMALL}` } });
    await until(({ ports }) => (ports.a?.drops.no_forward ?? 0) > 0);
    await stop();
  });

  test('EAL gets no second chance: other arguments are refused', async () => {
    const config = { ports: { a: `dpdk:net_null4${SMALL}` }, dpdk: { eal: ['-m', '64'] } };
    await expect(start(config)).rejects.toMatchObject({ code: 'WIRELET_E_DPDK_EAL' });
  });
});
