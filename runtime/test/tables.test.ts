import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { ADD, ask, COUNT, DELETE, GET, HAS, hashOf, NONE, SET, type Step } from './asking.js';
import { Guest } from './guest.js';
import type { LaidOut, TableOptions } from './tables.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const FLOWS = 0;
const NUMBERS = 1;
const SMALL = 2;
const SEED = 0x0123_4567_89ab_cdefn;

const load = (capacity: number, options: TableOptions = {}): Promise<Guest> =>
  Guest.load('runtime/test/hash', { capacity }, { seed: SEED, ...options });

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
    const gives = table === FLOWS && operation === ADD;
    if (old === undefined && map.size >= capacity) return gives ? NONE : 0n;
    const value = operation === SET ? stored(amount) : wrap((old ?? 0n) + amount);
    map.set(id, value);
    return gives ? value : 1n;
  };
}

const steps = (ids: number, most: number): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: ids }), fc.bigInt(0n, NONE)),
    { minLength: 1, maxLength: most },
  );

describe('a hash table is a Map', () => {
  it.each([
    ['of classes', FLOWS, 40],
    ['of numbers', NUMBERS, 40],
    ['of small numbers', SMALL, 256],
    ['with room for one', NUMBERS, 1],
    ['with more room than groups', FLOWS, 17],
  ])('%s', async (_, table, capacity) => {
    const property = fc.asyncProperty(steps(60, 200), fc.bigInt(0n, NONE), async (asked, seed) => {
      const guest = await load(capacity, { seed });
      expect(ask(guest, table, asked)).toEqual(asked.map(model(table, capacity)));
    });
    await fc.assert(property, { numRuns: 20 });
  });

  it('up to its last entry, and through deleting all of them', async () => {
    const capacity = 4096;
    const guest = await load(capacity);
    const ids = Array.from({ length: capacity + 50 }, (_, id) => id * 7);
    const asked: Step[] = [
      ...ids.map((id): Step => [SET, id, BigInt(id)]),
      ...ids.map((id): Step => [GET, id, 0n]),
      ...ids.map((id): Step => [DELETE, id, 0n]),
      ...ids.map((id): Step => [HAS, id, 0n]),
      [COUNT, 0, 0n],
      ...ids.map((id): Step => [ADD, id, 5n]),
    ];
    expect(ask(guest, NUMBERS, asked)).toEqual(asked.map(model(NUMBERS, capacity)));
    expect(header(guest, 'numbers').refused).toBe(100n);
  });
});

/** Numbers of a table's header. */
function header(guest: Guest, name: string) {
  const { header: at } = guest.tables.get(name);
  const view = new DataView(guest.memory.buffer);
  return {
    sequence: view.getUint32(at, true),
    count: view.getUint32(at + 4, true),
    refused: view.getBigUint64(at + 16, true),
  };
}

function tagsOf(guest: Guest, { tags }: LaidOut, group: number): Uint8Array {
  return new Uint8Array(guest.memory.buffer, tags + group * 16, 16);
}

/** Ids of `numbers` whose two groups are these, in a table of `groups` groups. */
function idsOf(first: number, second: number, groups: number, count: number): number[] {
  const ids: number[] = [];
  const group = (hash: bigint): number => Number((hash >> 4n) & BigInt(groups - 1));
  for (let id = 0; ids.length < count; id++) {
    const hash = hashOf(SEED, [BigInt(id)]);
    if (group(hash) !== first || group(hash >> 32n) !== second) continue;
    ids.push(id);
  }
  return ids;
}

const GROUPS = 16;
const CAPACITY = GROUPS * 8;
/** From so many keys in its first group on, a key may go to its second. */
const CROWDED = 13;
const set = (id: number): Step => [SET, id, BigInt(id)];

describe('groups', () => {
  it('are where the hash says, tags its highest bits, values behind their keys', async () => {
    const guest = await load(CAPACITY);
    const [id = 0] = idsOf(3, 5, GROUPS, 1);
    ask(guest, NUMBERS, [[SET, id, 77n]]);
    const table = guest.tables.get('numbers');
    expect(table).toMatchObject({ groups: GROUPS, stride: 16, keyBytes: 4, valueBytes: 8 });
    const tag = 0x80 | Number(hashOf(SEED, [BigInt(id)]) >> 57n);
    expect([...tagsOf(guest, table, 3)]).toEqual([tag, ...Array(15).fill(0)]);
    const words = new BigUint64Array(guest.memory.buffer, table.entries + 3 * 15 * 16, 2);
    expect([...words]).toEqual([BigInt(id), 77n]);
  });

  it("go by a class's fields, whatever lies between and behind them", async () => {
    const guest = await load(CAPACITY);
    const id = 0x1234_5678;
    ask(guest, FLOWS, [[SET, id, 9n]]);
    const table = guest.tables.get('flows');
    expect(table).toMatchObject({ stride: 32, keyBytes: 13, valueBytes: 13 });
    const words = [0xedcb_a987_1234_5678n, 0x56_01bb_5678n];
    const group = Number((hashOf(SEED, words) >> 4n) & BigInt(GROUPS - 1));
    const entry = new BigUint64Array(guest.memory.buffer, table.entries + group * 15 * 32, 4);
    expect([...entry]).toEqual([...words, 9n, 0x1_0000_0009n]);
  });

  it('send a key to its second one when the first is crowded, and count it there', async () => {
    const guest = await load(CAPACITY);
    const ids = idsOf(3, 5, GROUPS, 29);
    const table = guest.tables.get('numbers');
    const used = (group: number) => tagsOf(guest, table, group).filter((tag) => tag >= 0x80).length;
    ask(guest, NUMBERS, ids.slice(0, CROWDED).map(set));
    expect([used(3), used(5)]).toEqual([CROWDED, 0]);
    ask(guest, NUMBERS, ids.slice(CROWDED, 2 * CROWDED).map(set));
    // The second takes what comes until it is as full as the first.
    expect([used(3), used(5), tagsOf(guest, table, 3)[15]]).toEqual([CROWDED, CROWDED, CROWDED]);
    ask(guest, NUMBERS, ids.slice(2 * CROWDED).map(set));
    expect(used(3) + used(5)).toBe(29);
    expect(
      ask(
        guest,
        NUMBERS,
        ids.map((id): Step => [GET, id, 0n]),
      ),
    ).toEqual(ids.map(BigInt));
    // A deleted key of the second group gives its count back.
    const overflows = used(5) - (tagsOf(guest, table, 5)[15] ?? 0);
    expect(tagsOf(guest, table, 3)[15]).toBe(overflows);
    expect(
      ask(
        guest,
        NUMBERS,
        ids.map((id): Step => [DELETE, id, 0n]),
      ),
    ).toEqual(ids.map(() => 1n));
    expect(tagsOf(guest, table, 3)).toEqual(new Uint8Array(16));
    expect(tagsOf(guest, table, 5)).toEqual(new Uint8Array(16));
  });

  it('that are full refuse, though the table is not', async () => {
    const guest = await load(CAPACITY);
    const ids = idsOf(3, 5, GROUPS, 31);
    const answers = ask(guest, NUMBERS, ids.map(set));
    expect(answers).toEqual([...Array(30).fill(1n), 0n]);
    expect(header(guest, 'numbers')).toMatchObject({ count: 30, refused: 1n });
    // Changing what is there needs no room.
    expect(ask(guest, NUMBERS, [[SET, ids[0] ?? 0, 5n]])).toEqual([1n]);
    const same = idsOf(7, 7, GROUPS, 16);
    expect(ask(guest, NUMBERS, same.map(set))).toEqual([...Array(15).fill(1n), 0n]);
    expect(tagsOf(guest, guest.tables.get('numbers'), 7)[15]).toBe(0);
  });

  it('keep an overflow count of 255 for ever', async () => {
    const guest = await load(CAPACITY);
    const ids = idsOf(3, 5, GROUPS, CROWDED + 2);
    const table = guest.tables.get('numbers');
    ask(guest, NUMBERS, ids.slice(0, CROWDED).map(set));
    tagsOf(guest, table, 3)[15] = 254;
    ask(guest, NUMBERS, ids.slice(CROWDED).map(set));
    expect(tagsOf(guest, table, 3)[15]).toBe(255);
    expect(
      ask(
        guest,
        NUMBERS,
        ids.map((id): Step => [DELETE, id, 0n]),
      ),
    ).toEqual(ids.map(() => 1n));
    expect(tagsOf(guest, table, 3)[15]).toBe(255);
  });

  it('find a key behind one of the same tag', async () => {
    const guest = await load(1);
    const byTag = new Map<bigint, number[]>();
    for (let id = 0; id < 1000; id++) {
      const tag = hashOf(SEED, [BigInt(id)]) >> 57n;
      byTag.set(tag, [...(byTag.get(tag) ?? []), id]);
    }
    const [first = 0, second = 0, third = 0] =
      [...byTag.values()].find((ids) => ids.length > 2) ?? [];
    const table = guest.tables.get('numbers');
    table.capacity = 8;
    guest.tables.publish(table);
    const asked: Step[] = [set(first), set(second), [GET, second, 0n], [GET, third, 0n]];
    expect(ask(guest, NUMBERS, asked)).toEqual([1n, 1n, BigInt(second), NONE]);
    expect(
      ask(guest, NUMBERS, [
        [DELETE, first, 0n],
        [GET, second, 0n],
      ]),
    ).toEqual([1n, BigInt(second)]);
  });

  it('do not take an entry that is being written for free, nor for a key', async () => {
    const guest = await load(1);
    const table = guest.tables.get('numbers');
    tagsOf(guest, table, 0)[0] = 1;
    expect(ask(guest, NUMBERS, [[GET, 0, 0n], set(5), [GET, 5, 0n]])).toEqual([NONE, 1n, 5n]);
    expect([...tagsOf(guest, table, 0)].slice(0, 3).map((tag) => tag >> 7)).toEqual([0, 1, 0]);
  });
});

describe('the engine', () => {
  it('moves a table between two bursts', async () => {
    const guest = await load(CAPACITY);
    ask(guest, NUMBERS, [set(1), set(2)]);
    const table = guest.tables.get('numbers');
    const { header: from } = table;
    const bytes = table.entries + GROUPS * 15 * table.stride - from;
    const to = guest.tables.reserve(bytes);
    new Uint8Array(guest.memory.buffer).copyWithin(to, from, from + bytes);
    new Uint8Array(guest.memory.buffer).fill(0xff, from, from + bytes);
    for (const part of ['header', 'tags', 'dirty', 'entries'] as const) table[part] += to - from;
    guest.tables.publish(table);
    expect(
      ask(guest, NUMBERS, [
        [GET, 1, 0n],
        [GET, 2, 0n],
        [COUNT, 0, 0n],
      ]),
    ).toEqual([1n, 2n, 2n]);
  });

  it.each([
    ['get', FLOWS, GET, true],
    ['getOrInsert', FLOWS, ADD, true],
    ['set', NUMBERS, SET, true],
    ['add', NUMBERS, ADD, true],
    ['delete', NUMBERS, DELETE, true],
    ['has', NUMBERS, HAS, false],
    ['getOr', NUMBERS, GET, false],
  ])('is told which groups %s may change', async (_, table, operation, isTold) => {
    const guest = await load(CAPACITY, { marking: true });
    const laidOut = guest.tables.get(table === FLOWS ? 'flows' : 'numbers');
    const dirty = new Uint8Array(guest.memory.buffer, laidOut.dirty, GROUPS);
    ask(guest, table, [set(1234)]);
    const [group] = [...dirty.keys()].filter((each) => dirty[each] === 1);
    dirty.fill(0);
    ask(guest, table, [[operation, 1234, 1n]]);
    const told = [...dirty.keys()].filter((each) => dirty[each] === 1);
    expect(told).toEqual(isTold ? [group] : []);
  });

  it('is told of both groups when a key goes to its second one', async () => {
    const guest = await load(CAPACITY, { marking: true });
    const ids = idsOf(3, 5, GROUPS, CROWDED + 1);
    const { dirty: at } = guest.tables.get('numbers');
    const dirty = new Uint8Array(guest.memory.buffer, at, GROUPS);
    ask(guest, NUMBERS, ids.slice(0, CROWDED).map(set));
    const last = ids[CROWDED] ?? 0;
    for (const step of [set(last), [DELETE, last, 0n] as Step]) {
      dirty.fill(0);
      ask(guest, NUMBERS, [step]);
      expect([...dirty.keys()].filter((each) => dirty[each] === 1)).toEqual([3, 5]);
    }
  });

  it('finds the sequence even between two steps, and higher after each change', async () => {
    const guest = await load(CAPACITY);
    let before = header(guest, 'numbers').sequence;
    for (const [step, changes] of [
      [set(1), true],
      [set(1), true],
      [[GET, 1, 0n], false],
      [[DELETE, 1, 0n], true],
      [[DELETE, 1, 0n], false],
      [[ADD, 1, 1n], true],
    ] as [Step, boolean][]) {
      ask(guest, NUMBERS, [step]);
      const { sequence } = header(guest, 'numbers');
      expect([sequence % 2, sequence > before]).toEqual([0, changes]);
      before = sequence;
    }
  });

  it('is asked with the names of key and value', async () => {
    const guest = await load(CAPACITY);
    expect([...guest.tables.all.values()]).toMatchObject([
      {
        name: 'flows',
        kind: 1,
        flags: 0,
        capacity: CAPACITY,
        keyType: 'FlowKey',
        valueType: 'Flow',
      },
      { name: 'numbers', keyType: 'u32', valueType: 'u64', keyBytes: 4, valueBytes: 8 },
      { name: 'small', keyType: 'u8', valueType: 'i16', keyBytes: 1, valueBytes: 2 },
    ]);
  });
});
