import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { question } from './asking.js';
import { Guest } from './guest.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

let guest: Guest;

beforeAll(async () => {
  guest = await Guest.load('runtime/test/arrays');
});

function mark(operation: number, index = 0, amount = 0n): number {
  const packet = question((view) => {
    view.setUint8(14, operation);
    view.setUint32(16, index);
    view.setBigUint64(20, amount);
  });
  return guest.run([packet])[0]?.mark ?? -1;
}

const PORT = 0;
const SET_BYTE = 1;
const ADD_BYTE = 2;
const SHARE = 3;
const RECORD = 4;
const BUCKET = 5;
const LENGTH = 6;
const SET_FIXED = 7;
const GET_FIXED = 8;

describe('an array', () => {
  it('of classes gives references into it', () => {
    expect([mark(PORT, 4, 60n), mark(PORT, 4, 40n), mark(PORT, 0, 7n)]).toEqual([60, 100, 7]);
    const { tags } = guest.tables.get('ports');
    const words = new BigUint64Array(guest.memory.buffer, tags, 10);
    expect([...words]).toEqual([1n, 7n, 0n, 0n, 0n, 0n, 0n, 0n, 2n, 100n]);
  });

  it('of numbers gives and takes them', () => {
    mark(SET_BYTE, 6, 250n);
    expect([mark(ADD_BYTE, 6, 3n), mark(ADD_BYTE, 6, 3n), mark(ADD_BYTE, 5, 1n)]).toEqual([
      253, 0, 1,
    ]);
    expect([mark(SHARE, 1), mark(SHARE, 1)]).toEqual([0, 1]);
    expect(mark(LENGTH)).toBe(5);
  });

  it.each([
    [PORT, 5],
    [PORT, 0xffff_ffff],
    [SET_BYTE, 7],
    [ADD_BYTE, 8],
  ])('has an end (%i at %i)', (operation, index) => {
    expect(() => mark(operation, index)).toThrow('no value of this index in the array');
  });

  it('that is no table gives and takes numbers, and has an end', () => {
    expect([mark(SET_FIXED, 2, 0xffffn), mark(SET_FIXED, 0, 0x1_0007n)]).toEqual([3, 3]);
    expect([0, 1, 2].map((index) => mark(GET_FIXED, index))).toEqual([7, 0, 0xffff]);
    for (const index of [3, 0xffff_ffff, 0x8000_0000]) {
      expect(() => mark(GET_FIXED, index)).toThrow('index outside the array');
      expect(() => mark(SET_FIXED, index, 1n)).toThrow('index outside the array');
    }
  });

  it('is asked for with its length and the bytes of a value', () => {
    expect([...guest.tables.all.values()]).toMatchObject([
      { name: 'ports', kind: 5, capacity: 5, keyBytes: 0, valueBytes: 12, valueType: 'Port' },
      { name: 'bytes', capacity: 7, valueBytes: 1, valueType: 'u8', keyType: '' },
      { name: 'shares', valueType: 'f64' },
      { name: 'sizes', capacity: 256, valueBytes: 8, valueType: 'HistogramBucket' },
    ]);
  });
});

/** The engine's buckets, by the text of native/abi/src/histogram.rs. */
function engineBucket(value: bigint): number {
  if (value < 8n) return Number(value);
  const octave = value.toString(2).length - 1;
  const sub = Number((value >> BigInt(octave - 3)) & 7n);
  return Math.min(((octave - 2) << 3) | sub, 255);
}

describe('a histogram', () => {
  it("has the engine's buckets", () => {
    const source = readFileSync('native/abi/src/histogram.rs', 'utf8');
    expect(source).toContain(
      'let sub = (ns >> (octave - SUB_BITS)) as usize & ((1 << SUB_BITS) - 1);',
    );
    expect(source).toContain('((octave - SUB_BITS + 1) as usize) << SUB_BITS | sub');
    const value = fc.oneof(
      fc.bigInt(0n, 20n),
      fc.bigInt(0n, (1n << 64n) - 1n),
      fc.tuple(fc.bigInt(0n, 63n), fc.bigInt(-1n, 1n)).map(([bit, by]) => (1n << bit) + by),
    );
    fc.assert(
      fc.property(value, (each) => {
        expect(mark(RECORD, 0, each)).toBe(engineBucket(each));
      }),
      { numRuns: 500 },
    );
  });

  it('counts', () => {
    const before = [mark(BUCKET, 35), mark(BUCKET, 255)];
    for (const value of [88n, 95n, 96n, (1n << 64n) - 1n]) mark(RECORD, 0, value);
    expect([mark(BUCKET, 35), mark(BUCKET, 255)]).toEqual(before.map((count, i) => count + 2 - i));
    expect(mark(BUCKET, 256)).toBe(0);
  });
});
