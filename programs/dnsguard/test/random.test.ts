// dnsguard against a slow and plain reading of its README, over random and damaged messages.

import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { concat, dnsMessage, dnsName, hex, testProgram } from 'wirelet/test';
import { ethernet, ipv4, udp } from 'wirelet/test/layers';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000 });

const BLOCKED = ['a.b', 'c', 'aa.bb.cc', 'c.c.c', 'd.a.b', 'z'];
const MESSAGE = 42;

interface Judgement {
  verdict: 'pass' | 'drop';
  isQuery: boolean;
  isMalformed: boolean;
}

const PASS: Judgement = { verdict: 'pass', isQuery: false, isMalformed: false };

/** What the README says of a message to UDP port 53. */
function judge(message: Uint8Array): Judgement {
  if (message.length < 12) return { ...PASS, isMalformed: true };
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  if ((view.getUint8(2) & 0xf8) !== 0) return PASS;
  const malformed: Judgement = { verdict: 'pass', isQuery: true, isMalformed: true };
  const questions = view.getUint16(4);
  if (questions < 1 || questions > 4) return malformed;
  let at = 12;
  for (let i = 0; i < questions; i++) {
    const name = readName(message, at);
    if (name === undefined) return malformed;
    const text = `.${name.text.toLowerCase()}`;
    if (BLOCKED.some((blocked) => text.endsWith(`.${blocked}`))) {
      return { verdict: 'drop', isQuery: true, isMalformed: false };
    }
    at = name.end + 4;
    if (at > message.length) return malformed;
  }
  return { ...PASS, isQuery: true };
}

function readName(message: Uint8Array, start: number): { text: string; end: number } | undefined {
  const labels: string[] = [];
  for (let at = start; ; ) {
    const length = message[at];
    if (length === undefined || length > 63 || at + 1 - start > 255) return undefined;
    if (length === 0) return { text: labels.join('.'), end: at + 1 };
    if (at + length >= message.length) return undefined;
    // A dot inside a label is no border between labels.
    const bytes = message.slice(at + 1, at + 1 + length);
    labels.push(String.fromCharCode(...bytes).replaceAll('.', '\u0000'));
    at += 1 + length;
  }
}

const label = fc.constantFrom(
  'a',
  'b',
  'c',
  'd',
  'aa',
  'bb',
  'cc',
  'A',
  'C',
  'Z',
  'x'.repeat(63),
  'q',
);
const name = fc.array(label, { maxLength: 6 }).map((labels) => dnsName(labels.join('.')));
const question = name.map((bytes) => concat(bytes, hex('0001 0001')));
const body = fc.array(question, { maxLength: 5 }).map((questions) => concat(...questions));
const fields = fc.record({
  questions: fc.constantFrom(0, 1, 1, 1, 2, 3, 4, 5),
  flags: fc.constantFrom(0x0100, 0x0100, 0x0100, 0, 0x8180, 0x2800),
});
const change = fc.tuple(fc.nat(), fc.constantFrom(0, 1, 2, 3, 46, 63, 64, 97, 99, 192, 255));
const message = fc
  .tuple(body, fields, fc.array(change, { maxLength: 3 }), fc.nat(40))
  .map(([bytes, header, changes, cut]) => {
    const whole = dnsMessage(bytes, header);
    const kept = cut < 20 ? whole.slice(0, Math.max(0, whole.length - cut)) : whole;
    for (const [at, value] of changes) if (kept.length > 0) kept[at % kept.length] = value;
    return kept;
  });

it('does what its README says, for any message', async () => {
  const guard = await testProgram('programs/dnsguard', { settings: { blocked: BLOCKED } });
  let seen = { queries: 0, blocked: 0, malformed: 0 };
  fc.assert(
    fc.property(message, (payload) => {
      const frame = ethernet({ payload: ipv4({ payload: udp({ destinationPort: 53, payload }) }) });
      expect(frame.length).toBeGreaterThanOrEqual(MESSAGE);
      const wanted = judge(payload);
      expect(guard.send(frame).verdict).toBe(wanted.verdict);
      const { queries = 0, blocked = 0, malformed = 0 } = guard.counters;
      const counted = [queries - seen.queries, blocked - seen.blocked, malformed - seen.malformed];
      seen = { queries, blocked, malformed };
      const isDrop = wanted.verdict === 'drop';
      expect(counted).toEqual([wanted.isQuery, isDrop, wanted.isMalformed].map(Number));
    }),
    { numRuns: 5000 },
  );
  // Each kind was there, often.
  expect(seen.blocked).toBeGreaterThan(100);
  expect(seen.malformed).toBeGreaterThan(100);
  expect(seen.queries - seen.blocked - seen.malformed).toBeGreaterThan(100);
});
