import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { question } from './asking.js';
import { Guest } from './guest.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const NONE = 0xffff_ffff;
const NODE = 0x8000_0000;

interface Prefix {
  address: bigint;
  length: number;
  value: number;
}

/** A table of `width` bits as the layout says: an array for the root, one for each node. */
class Trie {
  readonly nodes: Uint32Array[] = [];
  readonly root: Uint32Array;

  constructor(
    readonly width: number,
    readonly rootBits: number,
    prefixes: readonly Prefix[],
  ) {
    this.root = new Uint32Array(2 ** rootBits);
    // Shorter ones first: a longer one writes over them.
    for (const prefix of [...prefixes].sort((a, b) => a.length - b.length)) this.add(prefix);
  }

  private add({ address, length, value }: Prefix): void {
    let table = this.root;
    let bits = this.rootBits;
    let from = 0;
    while (length > from + bits) {
      const index = this.index(address, from, bits);
      const entry = table[index] ?? 0;
      let node = this.nodes[entry - NODE];
      if (!node) {
        node = new Uint32Array(256).fill(entry);
        table[index] = NODE + this.nodes.push(node) - 1;
      }
      table = node;
      from += bits;
      bits = 8;
    }
    const size = 2 ** (from + bits - length);
    const first = Math.floor(this.index(address, from, bits) / size) * size;
    table.fill(value + 1, first, first + size);
  }

  private index(address: bigint, from: number, bits: number): number {
    return Number((address >> BigInt(this.width - from - bits)) & BigInt(2 ** bits - 1));
  }
}

/** The value of the longest prefix, by looking at all of them; of equal ones the last. */
function longest(width: number, prefixes: readonly Prefix[], address: bigint): number {
  let best: Prefix | undefined;
  for (const prefix of prefixes) {
    const rest = BigInt(width - prefix.length);
    if (address >> rest !== prefix.address >> rest) continue;
    if (!best || prefix.length >= best.length) best = prefix;
  }
  return best?.value ?? NONE;
}

/** Writes the trie into a table's memory, as the engine does. */
function install(guest: Guest, name: string, trie: Trie): void {
  const table = guest.tables.get(name);
  const { root, nodes } = trie;
  table.tags = guest.tables.reserve(root.byteLength);
  new Uint32Array(guest.memory.buffer, table.tags, root.length).set(root);
  table.entries = guest.tables.reserve(nodes.length * 1024);
  const all = new Uint32Array(guest.memory.buffer, table.entries, nodes.length * 256);
  for (const [index, node] of nodes.entries()) all.set(node, index * 256);
  table.rootBits = trie.rootBits;
  guest.tables.publish(table);
}

function find(guest: Guest, width: number, addresses: readonly bigint[]): number[] {
  const packets = addresses.map((address) =>
    question((view) => {
      view.setUint8(14, width === 128 ? 6 : 4);
      if (width === 32) view.setUint32(16, Number(address));
      else {
        view.setBigUint64(16, address >> 64n);
        view.setBigUint64(24, BigInt.asUintN(64, address));
      }
    }),
  );
  return guest.run(packets).map(({ mark }) => mark);
}

const prefixes = (width: number): fc.Arbitrary<Prefix[]> =>
  fc.array(
    fc.record({
      // Few addresses, so that prefixes lie within each other.
      address: fc
        .array(fc.constantFrom(0n, 1n, 0x80n, 0xffn), {
          minLength: width / 8,
          maxLength: width / 8,
        })
        .map((bytes) => bytes.reduce<bigint>((sum, byte) => (sum << 8n) | byte, 0n)),
      length: fc.integer({ min: 0, max: width }),
      value: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.constant(0x7fff_fffe)),
    }),
    { maxLength: 30 },
  );

/** Around the edges of prefixes is where a lookup goes wrong. */
function near(width: number, of: readonly Prefix[]): bigint[] {
  const last = (1n << BigInt(width)) - 1n;
  return of
    .flatMap(({ address, length }) => {
      const size = 1n << BigInt(width - length);
      const first = (address / size) * size;
      return [first - 1n, first, address, first + size - 1n, first + size];
    })
    .filter((address) => address >= 0n && address <= last);
}

describe('an LPM table', () => {
  it.each([
    ['IPv4, a root of 16 bits', 'routes', 32, 16],
    ['IPv4, a root of 24 bits', 'routes', 32, 24],
    ['IPv6, a root of 16 bits', 'routes6', 128, 16],
  ])('%s: finds what looking at all prefixes finds', async (_, name, width, rootBits) => {
    const runs = rootBits === 24 ? 4 : 60;
    const most = (1n << BigInt(width)) - 1n;
    const guest = await Guest.load('runtime/test/lpm');
    const property = fc.property(
      prefixes(width),
      fc.array(fc.bigInt(0n, most), { minLength: 1, maxLength: 50 }),
      (of, any) => {
        install(guest, name, new Trie(width, rootBits, of));
        const addresses = [...near(width, of), ...any];
        const expected = addresses.map((address) => longest(width, of, address));
        expect(find(guest, width, addresses)).toEqual(expected);
      },
    );
    fc.assert(property, { numRuns: runs });
  });

  it('IPv6, a root of 24 bits: goes down to the last bit', async () => {
    const guest = await Guest.load('runtime/test/lpm');
    const address = 0x2001_0db8_85a3_08d3_1319_8a2e_0370_7344n;
    const of = [24, 25, 48, 64, 65, 127, 128].map((length) => ({ address, length, value: length }));
    install(guest, 'routes6', new Trie(128, 24, of));
    const bits = [0n, 1n, 2n, 1n << 62n, 1n << 63n, 1n << 64n, 1n << 102n, 1n << 103n, 1n << 104n];
    expect(
      find(
        guest,
        128,
        bits.map((bit) => address ^ bit),
      ),
    ).toEqual([128, 127, 65, 65, 64, 48, 25, 24, NONE]);
  });

  it('that is empty finds nothing', async () => {
    const guest = await Guest.load('runtime/test/lpm');
    install(guest, 'routes', new Trie(32, 16, []));
    install(guest, 'routes6', new Trie(128, 16, []));
    expect(find(guest, 32, [0n, 0xffff_ffffn])).toEqual([NONE, NONE]);
    expect(find(guest, 128, [0n, (1n << 128n) - 1n])).toEqual([NONE, NONE]);
  });

  it('is asked for as shared, with the bytes of an address', async () => {
    const guest = await Guest.load('runtime/test/lpm');
    expect([...guest.tables.all.values()]).toMatchObject([
      { name: 'routes', kind: 3, flags: 1, keyBytes: 4, valueBytes: 4, keyType: '', capacity: 100 },
      { name: 'routes6', kind: 4, flags: 1, keyBytes: 16, valueBytes: 4, valueType: 'u32' },
    ]);
  });
});
