// Packets that nobody would send: whatever the bytes, there is an answer, and it is the same when
// the packet comes alone or in a burst.

import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { testProgram } from 'wirelet/test';
import { cases } from './cases.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const NOW_NS = 1_000_000_000;
const packets = cases.flatMap(({ steps }) => steps.map((step) => step.in));
const settings = {
  rules: ['allow udp from 10.0.0.0/8', 'allow tcp from any to any port 80', 'allow icmpv6'],
};

/** A packet of the cases with some bytes changed, and cut off somewhere. */
const mutated = fc
  .record({
    packet: fc.constantFrom(...packets),
    changes: fc.array(fc.tuple(fc.nat(99), fc.nat(255)), { maxLength: 6 }),
    length: fc.oneof(fc.constant(Number.MAX_SAFE_INTEGER), fc.integer({ min: 14, max: 120 })),
  })
  .map(({ packet, changes, length }) => {
    const bytes = packet.slice(0, length);
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return bytes;
  });

test('any bytes have an answer, whatever burst they come in', async () => {
  const [alone, together] = [
    await testProgram('programs/firewall', { settings }),
    await testProgram('programs/firewall', { settings }),
  ];
  let sent = 0;
  fc.assert(
    fc.property(fc.array(mutated, { minLength: 1, maxLength: 64 }), (burst) => {
      const verdicts = burst.map((packet) => alone.send(packet, { nowNs: NOW_NS }).verdict);
      sent += burst.length;
      const outcomes = together.send(burst, { nowNs: NOW_NS });
      expect(outcomes.map(({ verdict }) => verdict)).toEqual(verdicts);
      expect(outcomes.map(({ packet }) => packet)).toEqual(burst);
    }),
    { numRuns: 200 },
  );
  const { counters } = together;
  // Every packet counts once.
  const sum = Object.values(counters).reduce((total, count) => total + count, 0);
  expect(sum).toBe(sent);
  expect(alone.counters).toEqual(counters);
  for (const name of ['established', 'opened', 'unmatched', 'malformed', 'invalid', 'stray']) {
    expect(counters[name], name).toBeGreaterThan(0);
  }
});
