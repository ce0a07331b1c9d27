import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  LCORE_BLOCK_BURST_NS,
  LCORE_BLOCK_BURSTS,
  LCORE_BLOCK_BUSY_CYCLES,
  LCORE_BLOCK_IDLE_CYCLES,
  LCORE_BLOCK_PACKETS,
  LCORE_BLOCK_ROUNDS,
  LCORE_BLOCK_SEQUENCE,
  LCORE_BLOCK_STATE,
  PAGE_HEADER_MAGIC,
  PORT_BLOCK_DROPS,
  PORT_BLOCK_FORWARDED_PACKETS,
  PORT_BLOCK_LINK_UP,
  PORT_BLOCK_MAC,
  PORT_BLOCK_MTU,
  PORT_BLOCK_PROMISCUOUS,
  PORT_BLOCK_RULE_HITS,
  PORT_BLOCK_RX_BYTES,
  PORT_BLOCK_RX_PACKETS,
  PORT_BLOCK_XSTATS,
  PROGRAM_BLOCK_BURSTS,
  PROGRAM_BLOCK_CYCLES,
  PROGRAM_BLOCK_HEALTH,
  PROGRAM_BLOCK_PACKETS,
  PROGRAM_BLOCK_VERDICTS,
  SIZEOF_LCORE_BLOCK,
  SIZEOF_PAGE_HEADER,
  SIZEOF_PORT_BLOCK,
} from '../src/abi.js';
import { conservation } from '../src/stats/conservation.js';
import { lowerBoundNs, percentiles } from '../src/stats/histogram.js';
import { StatsPage } from '../src/stats/page.js';
import { decodeStats, type StatsNames } from '../src/stats/stats.js';
import { CYCLES_PER_NS, FakePage } from './page.js';

const SHAPE = { lcores: 2, ports: 2, programs: 1 };
/** An lcore as the engine's: odd while it writes, and both ends of its blocks get one number. */
const WRITER = `
  const { workerData: { buffer, sequence, near, far } } = require('node:worker_threads');
  const words = new BigUint64Array(buffer);
  for (let value = 1n; ; value++) {
    Atomics.store(words, sequence, value * 2n - 1n);
    Atomics.store(words, near, value);
    Atomics.store(words, far, value);
    Atomics.store(words, sequence, value * 2n);
    for (let pause = 0; pause < 2000; pause++) Atomics.load(words, 0);
  }`;
const NAMES: StatsNames = {
  ports: ['in', 'out'],
  programs: ['guard'],
  xstats: [['missed'], ['lost', 'reordered']],
  rules: [
    {
      place: { hardware: false, counted: true, refused: 'no room' },
      texts: ['udp: drop', 'all: mark 1'],
    },
    { place: { hardware: true, counted: false, refused: '' }, texts: ['arp: queue 1'] },
  ],
};

function decode(page: FakePage) {
  return decodeStats(new StatsPage(() => page.buffer).read(), NAMES, {
    elapsedMs: 5,
    framesUsed: 0,
  });
}

describe('the counters page', () => {
  it('adds up what each lcore saw, per port and program', () => {
    const page = new FakePage(SHAPE);
    page.port(0, 0, PORT_BLOCK_RX_PACKETS, 10);
    page.port(1, 0, PORT_BLOCK_RX_PACKETS, 5);
    page.port(1, 0, PORT_BLOCK_RX_BYTES, 2n ** 60n);
    page.port(0, 0, PORT_BLOCK_FORWARDED_PACKETS, 12);
    page.port(1, 0, PORT_BLOCK_DROPS, 2);
    page.port(0, 0, PORT_BLOCK_DROPS + 8 * 14, 1);
    page.port(0, 1, PORT_BLOCK_XSTATS + 8, 7);
    page.port(0, 1, PORT_BLOCK_LINK_UP, 1);
    for (const lcore of [0, 1]) page.port(lcore, 1, PORT_BLOCK_MAC, 0x0200_5e00_5301n);
    page.port(1, 1, PORT_BLOCK_MTU, 1500);
    page.port(1, 1, PORT_BLOCK_PROMISCUOUS, 1);
    page.program(0, 0, PROGRAM_BLOCK_PACKETS, 4);
    page.program(1, 0, PROGRAM_BLOCK_PACKETS, 6);
    page.program(1, 0, PROGRAM_BLOCK_CYCLES, 10 * 25 * CYCLES_PER_NS);
    page.program(1, 0, PROGRAM_BLOCK_VERDICTS + 8, 6);
    for (const lcore of [0, 1]) page.program(lcore, 0, PROGRAM_BLOCK_HEALTH, 1);

    const { ports, programs, elapsedMs } = decode(page);

    expect(elapsedMs).toBe(5);
    expect(ports.in).toMatchObject({ rx: 15, rxBytes: 2n ** 60n, forwarded: 12, dropped: 3 });
    expect(ports.in?.drops).toMatchObject({ program: 2, too_short: 1, no_frame: 0 });
    expect(ports.out).toMatchObject({ link: 'up', xstats: { lost: 0, reordered: 7 } });
    const link = { mac: '02:00:5e:00:53:01', mtu: 1500, promiscuous: true };
    expect(ports.out).toMatchObject(link);
    expect(ports.in).toMatchObject({ mac: null, mtu: 0, promiscuous: false });
    expect(programs.guard).toMatchObject({
      packets: 10,
      nsPerPacket: 25,
      health: 'running',
      verdicts: { pass: 0, drop: 6, redirect: 0, punt: 0 },
    });
  });

  it('tells who carries out rules and what each has met', () => {
    const page = new FakePage(SHAPE);
    page.port(0, 0, PORT_BLOCK_RULE_HITS, 2);
    page.port(1, 0, PORT_BLOCK_RULE_HITS, 3);
    page.port(1, 0, PORT_BLOCK_RULE_HITS + 8, 7);
    page.port(0, 1, PORT_BLOCK_RULE_HITS, 9);
    const { ports } = decode(page);
    expect(ports.in?.rules).toEqual({
      where: 'native',
      refused: 'no room',
      hits: [
        { rule: 'udp: drop', packets: 5 },
        { rule: 'all: mark 1', packets: 7 },
      ],
    });
    const hits = [{ rule: 'arp: queue 1', packets: null }];
    expect(ports.out?.rules).toEqual({ where: 'hardware', refused: '', hits });
  });

  it('tells how busy an lcore is and how long its bursts take', () => {
    const page = new FakePage(SHAPE);
    page.lcore(1, LCORE_BLOCK_STATE, 2);
    page.lcore(1, LCORE_BLOCK_BUSY_CYCLES, 300 * CYCLES_PER_NS);
    page.lcore(1, LCORE_BLOCK_IDLE_CYCLES, 100 * CYCLES_PER_NS);
    page.lcore(1, LCORE_BLOCK_BURSTS, 4);
    page.lcore(1, LCORE_BLOCK_PACKETS, 128);
    page.lcore(1, LCORE_BLOCK_BURST_NS + 8 * 40, 4);
    const [idle, busy] = decode(page).lcores;
    expect(busy).toMatchObject({ state: 'sleeping', busy: 0.75, packetsPerBurst: 32, busyNs: 300 });
    expect(busy?.burstNs).toMatchObject({ count: 4, p50: lowerBoundNs(41) - 1 });
    expect(idle).toMatchObject({ state: 'starting', busy: 0, packetsPerBurst: 0, burstNs: null });
  });

  it('a program that is quarantined on one lcore is not called running', () => {
    const page = new FakePage(SHAPE);
    page.program(0, 0, PROGRAM_BLOCK_HEALTH, 1);
    page.program(1, 0, PROGRAM_BLOCK_HEALTH, 2);
    expect(decode(page).programs.guard?.health).toBe('quarantined');
  });

  it('shows the last whole copy while an lcore writes, never half of one', () => {
    const page = new FakePage(SHAPE);
    const stats = new StatsPage(() => page.buffer);
    page.lcore(0, LCORE_BLOCK_PACKETS, 100);
    page.writing(0, 2);
    const packets = () =>
      decodeStats(stats.read(), NAMES, { elapsedMs: 0, framesUsed: 0 }).lcores[0]?.packets;
    expect(packets()).toBe(100);
    page.writing(0, 3);
    page.lcore(0, LCORE_BLOCK_PACKETS, 200);
    expect(packets()).toBe(100);
    page.writing(0, 4);
    expect(packets()).toBe(200);
  });

  it('never shows halves of two writes of an lcore that writes all the time', async () => {
    const page = new FakePage(SHAPE, SharedArrayBuffer);
    const first = SIZEOF_PAGE_HEADER / 8;
    const writer = new Worker(WRITER, {
      eval: true,
      workerData: {
        buffer: page.buffer,
        sequence: first + LCORE_BLOCK_SEQUENCE / 8,
        near: first + LCORE_BLOCK_PACKETS / 8,
        far: first + (SIZEOF_LCORE_BLOCK + SHAPE.ports * SIZEOF_PORT_BLOCK) / 8,
      },
    });
    const stats = new StatsPage(() => page.buffer);
    const seen = new Set<number>();
    const deadline = performance.now() + 50_000;
    await once(writer, 'online');
    while (seen.size < 500 && performance.now() < deadline) {
      const [group] = stats.read().groups;
      const near = group?.lcore.number(LCORE_BLOCK_PACKETS);
      expect(group?.programs[0]?.number(PROGRAM_BLOCK_BURSTS)).toBe(near);
      seen.add(near ?? 0);
    }
    expect(seen.size).toBe(500);
    await writer.terminate();
  });

  it('notices a runtime that copies the buffer, and asks for a new one each time', () => {
    const page = new FakePage(SHAPE);
    const copying = new StatsPage(() => page.buffer.slice(0));
    const sharing = new StatsPage(() => page.buffer);
    for (const rounds of [1, 2, 3]) {
      page.lcore(0, LCORE_BLOCK_ROUNDS, rounds);
      page.lcore(0, LCORE_BLOCK_PACKETS, rounds * 10);
      for (const stats of [copying, sharing]) {
        expect(
          decodeStats(stats.read(), NAMES, { elapsedMs: 0, framesUsed: 0 }).lcores[0]?.packets,
        ).toBe(rounds * 10);
      }
    }
    expect([copying.shared, sharing.shared]).toEqual([false, true]);
  });

  it('refuses memory that is no such page', () => {
    const page = new FakePage(SHAPE);
    page.header(PAGE_HEADER_MAGIC, 1n);
    expect(() => new StatsPage(() => page.buffer)).toThrow('not one');
    expect(() => new StatsPage(() => new FakePage(SHAPE).buffer.slice(0, 256))).toThrow(
      '256 bytes',
    );
  });
});

describe('percentiles', () => {
  it('every value lies within the bounds of its bucket', () => {
    const bucketOf = (ns: number) => {
      let index = 0;
      while (index < 255 && lowerBoundNs(index + 1) <= ns) index++;
      return index;
    };
    fc.assert(
      fc.property(fc.array(fc.nat(2 ** 31 - 1), { minLength: 1 }), (values) => {
        const buckets = Array.from({ length: 256 }, () => 0);
        for (const ns of values) buckets[bucketOf(ns)] = (buckets[bucketOf(ns)] ?? 0) + 1;
        const sorted = values.toSorted((a, b) => a - b);
        const median = sorted[Math.ceil(values.length / 2) - 1] ?? 0;
        const found = percentiles(buckets);
        expect(found?.count).toBe(values.length);
        expect(found?.p50).toBeGreaterThanOrEqual(median);
        expect(found?.p50).toBeLessThanOrEqual(median * 1.13 + 1);
        expect(found?.max).toBeGreaterThanOrEqual(sorted.at(-1) ?? 0);
      }),
    );
  });

  it('says nothing about nothing', () => {
    expect(percentiles([0, 0])).toBeNull();
  });
});

describe('conservation', () => {
  it('is exact when every packet left or was dropped, port by port', () => {
    const page = new FakePage(SHAPE);
    page.port(0, 0, PORT_BLOCK_RX_PACKETS, 10);
    page.port(0, 0, PORT_BLOCK_FORWARDED_PACKETS, 7);
    page.port(0, 0, PORT_BLOCK_DROPS, 3);
    expect(conservation(decode(page))).toMatchObject({ exact: true, difference: 0 });
    // One port's surplus does not pay for the other's loss.
    page.port(0, 0, PORT_BLOCK_FORWARDED_PACKETS, 6);
    page.port(0, 1, PORT_BLOCK_FORWARDED_PACKETS, 1);
    const broken = conservation(decode(page));
    expect(broken).toMatchObject({ exact: false, difference: 0 });
    expect(broken.ports.in).toEqual({
      rx: 10,
      copies: 0,
      forwarded: 6,
      dropped: 3,
      difference: 1,
    });
  });
});
