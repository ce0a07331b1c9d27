// Against a model in numbers without end, at times that the test makes up.

import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { testProgram, udp } from 'wirelet/test';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const BILLION = 1_000_000_000n;
const SOURCES = ['10.0.0.1', '10.0.0.2', '2001:db8::1', '2001:db8:0:1::1'];
const START_NS = 5n * BILLION;
const PROGRAM = 'programs/ratelimit';

/** Token buckets by source, in billionths of a token. */
function model(perSecond: bigint, burst: bigint) {
  const capacity = burst * BILLION;
  const buckets = new Map<string, { level: bigint; atNs: bigint }>();
  return (source: string, cost: bigint, nowNs: bigint): boolean => {
    const bucket = buckets.get(source) ?? { level: capacity, atNs: nowNs };
    const level = bucket.level + (nowNs - bucket.atNs) * perSecond;
    const filled = level < capacity ? level : capacity;
    const passes = cost * BILLION <= filled;
    buckets.set(source, { level: passes ? filled - cost * BILLION : filled, atNs: nowNs });
    return passes;
  };
}

const packetOf = (source: string, bytes: number) => {
  const to = source.includes(':') ? '2001:db8::99' : '192.0.2.1';
  return udp({ from: source, to, payload: new Uint8Array(bytes) });
};

const sent = fc.array(
  fc.record({
    source: fc.constantFrom(...SOURCES),
    bytes: fc.integer({ min: 0, max: 1400 }),
    stepNs: fc.oneof(fc.constant(0), fc.nat(2_000_000), fc.nat(2_000_000_000)),
  }),
  { minLength: 1, maxLength: 200 },
);

interface Limit {
  unit: 'packets' | 'bits';
  settings: Record<string, number>;
  burst: bigint;
}

test.each<Limit>([
  { unit: 'packets', settings: { packetsPerSecond: 997, burst: 7 }, burst: 7n },
  { unit: 'packets', settings: { packetsPerSecond: 3, burst: 1 }, burst: 1n },
  { unit: 'bits', settings: { bitsPerSecond: 1_234_567, burst: 3000 }, burst: 24_000n },
  { unit: 'bits', settings: { bitsPerSecond: 40_000_000_000, burst: 1500 }, burst: 12_000n },
])('$settings: every packet as the model says', async ({ unit, settings, burst }) => {
  const program = await testProgram(PROGRAM, { settings });
  const [perSecond = 0] = Object.values(settings);
  fc.assert(
    fc.property(sent, (packets) => {
      program.reset();
      const passes = model(BigInt(perSecond), burst);
      let nowNs = START_NS;
      for (const { source, bytes, stepNs } of packets) {
        nowNs += BigInt(stepNs);
        const packet = packetOf(source, bytes);
        const cost = unit === 'bits' ? BigInt(packet.length * 8) : 1n;
        const expected = passes(source, cost, nowNs) ? 'pass' : 'drop';
        expect(program.send(packet, { nowNs }).verdict).toBe(expected);
      }
    }),
    { numRuns: 30 },
  );
});

test('a second at the rate passes exactly the rate, whoever else sends', async () => {
  const program = await testProgram(PROGRAM, { settings: { packetsPerSecond: 100, burst: 10 } });
  const flood = Array.from({ length: 100 }, () => packetOf('10.0.0.1', 0));
  let passed = 0;
  let others = 0;
  // 10 at once at first, then 100 in a second; another source sends 50 of its 100.
  for (let ms = 0; ms <= 1000; ms++) {
    const outcomes = program.send(flood, { nowNs: START_NS + BigInt(ms) * 1_000_000n });
    passed += outcomes.filter(({ verdict }) => verdict === 'pass').length;
    if (ms % 20 !== 0) continue;
    expect(
      program.send(packetOf('10.0.0.2', 0), { nowNs: START_NS + BigInt(ms) * 1_000_000n }),
    ).toPass();
    others += 1;
  }
  expect([passed, others]).toEqual([110, 51]);
  expect(program.counters).toEqual({ passed: 161, limited: 100_100 - 110, other: 0 });
});

test('without a burst it is a tenth of a second, or the largest packet', async () => {
  const atOnce = async (settings: Record<string, number>, bytes: number): Promise<number> => {
    const program = await testProgram(PROGRAM, { settings });
    const packets = Array.from({ length: 200 }, () => packetOf('10.0.0.1', bytes));
    const outcomes = program.send(packets, { nowNs: START_NS });
    return outcomes.filter(({ verdict }) => verdict === 'pass').length;
  };
  expect(await atOnce({ packetsPerSecond: 1000 }, 0)).toBe(100);
  expect(await atOnce({ packetsPerSecond: 1 }, 0)).toBe(1);
  expect(await atOnce({ bitsPerSecond: 8_000_000 }, 1000 - 42)).toBe(100);
  expect(await atOnce({ bitsPerSecond: 8000 }, 1514 - 42)).toBe(1);
});

test.each([
  [{}, 'set either packetsPerSecond or bitsPerSecond'],
  [{ packetsPerSecond: 1, bitsPerSecond: 1 }, 'set either packetsPerSecond or bitsPerSecond'],
  [{ packetsPerSecond: 0 }, 'setting "packetsPerSecond" must be a whole number from 1 to 10^15'],
  [{ bitsPerSecond: 1.5 }, 'setting "bitsPerSecond" must be a whole number from 1 to 10^15'],
  [{ packetsPerSecond: 1, burst: -1 }, 'setting "burst" must be a whole number'],
  [{ bitsPerSecond: 1, burst: 2_000_000_000 }, 'a burst is at most 9223372036 tokens'],
  [{ packetsPerSecond: 1, prefix4: 33 }, 'setting "prefix4" is at most 32'],
  [{ packetsPerSecond: 1, prefix6: 129 }, 'setting "prefix6" is at most 128'],
])('settings %j are refused', async (settings, message) => {
  await expect(testProgram(PROGRAM, { settings })).rejects.toThrow(message);
});
