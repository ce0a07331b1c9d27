import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Guest } from './guest.js';
import type { TableOptions } from './tables.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const NONE = 0xffff_ffff_ffff_ffffn;
const GET = 0;
const SET = 1;
const DELETE = 2;
const HAS = 3;
const ADD = 4;
const COUNT = 5;
type Step = [operation: number, id: number, amount: bigint];

const FLOWS = 0;
const NUMBERS = 1;
const SMALL = 2;

function packet(table: number, [operation, id, amount]: Step): Uint8Array {
  const bytes = new Uint8Array(60);
  const view = new DataView(bytes.buffer);
  bytes[14] = table;
  bytes[15] = operation;
  view.setUint32(16, id);
  view.setBigUint64(20, amount);
  return bytes;
}

/** What the program answers to each step. */
function ask(guest: Guest, table: number, steps: Step[]): bigint[] {
  return guest
    .run(steps.map((step) => packet(table, step)))
    .map(({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(32));
}

const load = (capacity: number, options: TableOptions = {}): Promise<Guest> =>
  Guest.load('runtime/test/hash', { capacity }, options);

/** A table as a Map, full at `capacity`. */
function model(table: number, capacity: number): (step: Step) => bigint {
  const map = new Map<number, bigint>();
  const wrap = (value: bigint): bigint =>
    table === SMALL ? BigInt.asUintN(64, BigInt.asIntN(16, value)) : BigInt.asUintN(64, value);
  // A flow's answer is packets + bytes, and bytes are 32 bits.
  const stored = (amount: bigint): bigint =>
    wrap(table === FLOWS ? amount + BigInt.asUintN(32, amount) : amount);
  return ([operation, wide, amount]) => {
    const id = table === SMALL ? wide & 0xff : wide;
    const old = map.get(id);
    if (operation === GET) return old ?? NONE;
    if (operation === HAS) return old === undefined ? 0n : 1n;
    if (operation === DELETE) return map.delete(id) ? 1n : 0n;
    if (operation === COUNT) return BigInt(map.size);
    if (old === undefined && map.size >= capacity)
      return table === FLOWS && operation === ADD ? NONE : 0n;
    const value = operation === SET ? stored(amount) : wrap((old ?? 0n) + amount);
    map.set(id, value);
    return table === FLOWS && operation === ADD ? value : 1n;
  };
}

const step = (ids: number): fc.Arbitrary<Step> =>
  fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: ids }), fc.bigInt(0n, NONE));

describe('HashTable', () => {
  it.each([
    ['of classes', FLOWS, 40],
    ['of numbers', NUMBERS, 40],
    ['of small numbers', SMALL, 256],
  ])('%s is a Map', async (_, table, capacity) => {
    const property = fc.asyncProperty(
      fc.array(step(60), { minLength: 1, maxLength: 200 }),
      fc.bigInt(0n, NONE),
      async (steps, seed) => {
        const guest = await load(capacity, { seed });
        const expected = model(table, capacity);
        expect(ask(guest, table, steps)).toEqual(steps.map(expected));
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });
});
