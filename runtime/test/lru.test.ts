import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { ADD, ask, COUNT, DELETE, GET, HAS, hashOf, NONE, SET, type Step } from './asking.js';
import { Guest } from './guest.js';
import type { TableOptions } from './tables.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const VALUES = 0;
const NUMBERS = 1;
const SEED = 0xfedc_ba98_7654_3210n;
const GROUP_ENTRIES = 15;
const U32 = 0xffff_ffffn;

const load = (capacity: number, options: TableOptions = {}): Promise<Guest> =>
  Guest.load('runtime/test/lru', { capacity }, { seed: SEED, ...options });

/** The words of a key in memory. */
function words(table: number, id: number): bigint[] {
  const low = BigInt(id & 0xffff);
  return table === VALUES ? [low | (BigInt(id) << 32n)] : [BigInt(id)];
}

/** An LRU table as a Map for each group, oldest use first. */
class Model {
  readonly groups: Map<number, bigint>[];
  evicted = 0n;

  constructor(
    readonly table: number,
    readonly seed: bigint,
    groups: number,
  ) {
    this.groups = Array.from({ length: groups }, () => new Map());
  }

  step([operation, id, amount]: Step): bigint {
    const last = BigInt(this.groups.length - 1);
    const index = Number((hashOf(this.seed, words(this.table, id)) >> 4n) & last);
    const group = this.groups[index] ?? new Map<number, bigint>();
    const old = group.get(id);
    const use = (value: bigint): void => {
      group.delete(id);
      group.set(id, this.table === VALUES ? BigInt.asUintN(64, value) : value & U32);
    };
    if (operation === COUNT) return BigInt(this.groups.reduce((sum, each) => sum + each.size, 0));
    if (operation === HAS) return old === undefined ? 0n : 1n;
    if (operation === DELETE) return group.delete(id) ? 1n : 0n;
    if (operation === GET) {
      if (old !== undefined) use(old);
      return old ?? (this.table === VALUES ? NONE : U32);
    }
    if (old === undefined && group.size === GROUP_ENTRIES) {
      group.delete([...group.keys()][0] ?? -1);
      this.evicted++;
    }
    use(operation === SET ? amount : (old ?? 0n) + amount);
    return 1n;
  }
}

const steps = fc.array(
  fc.tuple(
    fc.constantFrom(GET, SET, DELETE, HAS, ADD, ADD, SET, COUNT),
    fc.integer({ min: 0, max: 50 }),
    fc.bigInt(0n, NONE),
  ),
  { minLength: 1, maxLength: 250 },
);

/** Numbers of a table's header. */
function header(guest: Guest, name: string) {
  const { header: at } = guest.tables.get(name);
  const view = new DataView(guest.memory.buffer);
  return {
    sequence: view.getUint32(at, true),
    count: view.getUint32(at + 4, true),
    clock: view.getUint32(at + 8, true),
    evicted: view.getBigUint64(at + 24, true),
  };
}

describe('an LRU table', () => {
  it.each([
    ['of classes', VALUES, 'values', 8],
    ['of numbers', NUMBERS, 'numbers', 8],
    ['of two groups', NUMBERS, 'numbers', 16],
    ['of four groups', VALUES, 'values', 32],
  ])('%s gives up what was not used for longest', async (_, table, name, capacity) => {
    const property = fc.asyncProperty(steps, fc.bigInt(0n, NONE), async (asked, seed) => {
      const guest = await load(capacity, { seed });
      const model = new Model(table, seed, capacity / 8);
      expect(ask(guest, table, asked)).toEqual(asked.map((step) => model.step(step)));
      const { evicted, sequence } = header(guest, name);
      expect([evicted, sequence % 2]).toEqual([model.evicted, 0]);
    });
    await fc.assert(property, { numRuns: 20 });
  });

  it('keeps the order when its clock wraps', async () => {
    const guest = await load(8);
    const { header: at } = guest.tables.get('numbers');
    new DataView(guest.memory.buffer).setUint32(at + 8, 0xffff_fff0, true);
    const asked = [
      ...Array.from({ length: 40 }, (_, id): Step => [SET, id, BigInt(id)]),
      ...Array.from({ length: 40 }, (_, id): Step => [HAS, id, 0n]),
    ];
    const model = new Model(NUMBERS, SEED, 1);
    expect(ask(guest, NUMBERS, asked)).toEqual(asked.map((step) => model.step(step)));
    expect(header(guest, 'numbers')).toMatchObject({ clock: 24, count: 15, evicted: 25n });
  });

  it('never takes the unused sixteenth age for one', async () => {
    const guest = await load(8);
    const { ages } = guest.tables.get('numbers');
    new DataView(guest.memory.buffer).setUint32(ages + 60, 0x8000_0000, true);
    const fill = Array.from({ length: 16 }, (_, id): Step => [SET, id, 1n]);
    ask(guest, NUMBERS, fill);
    expect(
      ask(guest, NUMBERS, [
        [HAS, 0, 0n],
        [HAS, 1, 0n],
        [HAS, 15, 0n],
      ]),
    ).toEqual([0n, 1n, 1n]);
  });

  it('tells the engine of the group whose ages change', async () => {
    const guest = await load(64, { marking: true });
    const { dirty: at, groups } = guest.tables.get('numbers');
    const dirty = new Uint8Array(guest.memory.buffer, at, groups);
    const group = Number((hashOf(SEED, [7n]) >> 4n) & BigInt(groups - 1));
    const told = (step: Step): number[] => {
      dirty.fill(0);
      ask(guest, NUMBERS, [step]);
      return [...dirty.keys()].filter((each) => dirty[each] === 1);
    };
    expect(told([HAS, 7, 0n])).toEqual([]);
    for (const operation of [SET, SET, GET, ADD, DELETE]) {
      expect(told([operation, 7, 1n])).toEqual([group]);
    }
    expect(told([HAS, 7, 0n])).toEqual([]);
  });
});
