import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { question } from './asking.js';
import { Guest } from './guest.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const TOKEN = 1_000_000_000n;
const U64 = (1n << 64n) - 1n;
const FAST = 4;
const SOURCES = 5;

interface Take {
  cost: bigint;
  nowNs: bigint;
  meter?: number;
  source?: number;
}

/** Whether each packet was let through. */
function take(guest: Guest, takes: readonly Take[]): boolean[] {
  const packets = takes.map(({ cost, nowNs, meter = 0, source = 0 }) =>
    question((view) => {
      view.setUint8(14, meter);
      view.setBigUint64(16, cost);
      view.setBigUint64(24, nowNs);
      view.setUint32(32, source);
    }),
  );
  return guest.run(packets).map(({ verdict }) => verdict === 'pass');
}

/** A token bucket in numbers without end. */
function bucket(perSecond: bigint, burst: bigint): (take: Take) => boolean {
  const capacity = burst * TOKEN;
  let level = capacity;
  let last = 0n;
  return ({ cost, nowNs }) => {
    if (nowNs > last) level += (nowNs - last) * perSecond;
    if (level > capacity) level = capacity;
    last = nowNs;
    if (cost * TOKEN > level) return false;
    level -= cost * TOKEN;
    return true;
  };
}

const load = (perSecond: number, burst: number): Promise<Guest> =>
  Guest.load('runtime/test/meter', { perSecond, burst });

/** Costs and times that are ordinary, and such that overflow. */
const takes = fc.array(
  fc.record({
    cost: fc.oneof(fc.bigInt(0n, 20n), fc.bigInt(0n, U64), fc.constant(U64)),
    stepNs: fc.oneof(fc.bigInt(0n, 3_000_000n), fc.bigInt(0n, U64), fc.constant(-1n)),
  }),
  { minLength: 1, maxLength: 60 },
);

describe('a meter', () => {
  it('is a token bucket, exactly, whatever it is given', async () => {
    const property = fc.asyncProperty(
      takes,
      fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0 })),
      fc.oneof(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0 }), fc.constant(9_223_372_036)),
      async (steps, perSecond, burst) => {
        const guest = await load(perSecond, burst);
        let nowNs = 0n;
        const asked = steps.map(({ cost, stepNs }) => {
          nowNs = stepNs < 0n ? nowNs / 2n : BigInt.asUintN(64, nowNs + stepNs);
          return { cost, nowNs };
        });
        const model = bucket(BigInt(perSecond), BigInt(burst));
        expect(take(guest, asked)).toEqual(asked.map(model));
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  it('is full at first, then lets through what its rate is', async () => {
    const guest = await load(1000, 10);
    const burst = Array.from({ length: 12 }, () => ({ cost: 1n, nowNs: 5n }));
    expect(take(guest, burst).filter(Boolean)).toHaveLength(10);
    // A millisecond brings one back, and a nanosecond less does not.
    expect(take(guest, [{ cost: 1n, nowNs: 1_000_004n }])).toEqual([false]);
    expect(take(guest, [{ cost: 1n, nowNs: 1_000_005n }])).toEqual([true]);
    expect(take(guest, [{ cost: 1n, nowNs: 1_000_005n }])).toEqual([false]);
  });

  it('of a rate above 2^32 bytes a second does not round', async () => {
    const guest = await load(12_500_000_000, 1_000_000);
    const asked = Array.from({ length: 2000 }, (_, index) => ({
      cost: 1501n,
      nowNs: BigInt(index) * 120n,
    }));
    const model = bucket(12_500_000_000n, 1_000_000n);
    expect(take(guest, asked)).toEqual(asked.map(model));
  });

  it('that another rate has overdrawn is empty, not overflowing', async () => {
    const guest = await load(1, 10);
    expect(take(guest, [{ meter: FAST, cost: 9_223_372_036n, nowNs: 0n }])).toEqual([true]);
    expect(take(guest, [{ cost: 1n, nowNs: 0n }])).toEqual([false]);
    expect(take(guest, [{ cost: 1n, nowNs: TOKEN }])).toEqual([true]);
    // What a host may write: more than there is.
    const { tags } = guest.tables.get('meters');
    new DataView(guest.memory.buffer).setBigUint64(tags, U64, true);
    expect(take(guest, [{ meter: FAST, cost: 1n, nowNs: TOKEN }])).toEqual([false]);
    expect(take(guest, [{ meter: FAST, cost: 1n, nowNs: TOKEN + 1n }])).toEqual([true]);
  });

  it('is one of many, by number or by key, at the time of the burst', async () => {
    const guest = await load(1000, 1);
    guest.nowNs = 7n;
    expect(
      take(
        guest,
        [0, 1, 2, 3, 0].map((meter) => ({ meter, cost: 1n, nowNs: 7n })),
      ),
    ).toEqual([true, true, true, true, false]);
    const sources = [1, 2, 1].map((source) => ({ meter: SOURCES, source, cost: 1n, nowNs: 0n }));
    expect(take(guest, sources)).toEqual([true, true, false]);
    guest.nowNs += 1_000_000n;
    expect(take(guest, sources)).toEqual([true, true, false]);
    expect(() => take(guest, [{ meter: 6, cost: 1n, nowNs: 0n }])).toThrow(
      'no value of this index',
    );
  });

  it('refuses a burst that it can not count', async () => {
    await expect(load(1, 9_223_372_037)).rejects.toThrow('a burst is at most 9223372036 tokens');
  });
});
