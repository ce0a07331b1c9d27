// The burst loop of a program that looks one key up for each packet, as asc writes it: what makes a
// lookup dearer shows as a difference. UPDATE_CASES=1 writes the file.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { compile } from './guest.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const FILE = fileURLToPath(new URL('lookup.wat', import.meta.url));

describe('a lookup', () => {
  let text = '';

  beforeAll(async () => {
    const { wat } = await compile('runtime/test/lookup');
    const start = wat.indexOf(' (func $runtime/test/lookup/wirelet-entry/onBurst ');
    text = `${wat.slice(start, wat.indexOf('\n )\n', start))}\n )\n`;
  });

  it('is the code that it was', () => {
    if (process.env.UPDATE_CASES === '1') writeFileSync(FILE, text);
    expect(text).toBe(readFileSync(FILE, 'utf8'));
  });

  it('that hits is seven loads and no call', () => {
    // Four words of the table's entry, the tags, the key, the value.
    const loop = text.slice(text.indexOf('loop'));
    const compared = loop.indexOf('i64.eq');
    const hit = loop.slice(0, loop.indexOf('\n      br ', compared));
    expect(hit.match(/^ *(call|loop)\b/gm)).toEqual(['loop']);
    // One more is the packet's hash.
    expect(hit.slice(0, compared).match(/\.load/g)).toHaveLength(7);
    expect(hit.slice(compared).match(/\.load/g)).toHaveLength(1);
  });
});

/** The stores of a part of a module's text, in their order; the last of them is `last`. */
function storesOf(wat: string, from: string, last: string): string[] {
  const part = wat.slice(wat.indexOf(from));
  const stores: string[] = part.match(/\w+\.store\S*(?: offset=\d+)?/g) ?? [];
  return stores.slice(0, stores.indexOf(last));
}

describe('whoever is killed, or read meanwhile, leaves whole entries', () => {
  let wat = '';

  beforeAll(async () => {
    ({ wat } = await compile('runtime/test/change'));
  });

  it('when a value changes: its tag says so before and no longer behind it', () => {
    const call = 'call $"~lib/@wirelet/runtime/hashtable/insert<u32,u64>"';
    const verdict = 'i32.store8 offset=12';
    expect(storesOf(wat, call, verdict)).toEqual([
      'i32.store', // The sequence is odd,
      'i32.store8', // the tag busy,
      'i64.store', // the value,
      'i64.store8', // the tag,
      'i32.store', // the sequence even.
    ]);
  });

  it('when a key is new: its tag comes behind everything that it stands for', () => {
    const refused = 'i64.store offset=16';
    const insert = '(func $"~lib/@wirelet/runtime/hashtable/insert<u32,u64>"';
    const stores = storesOf(wat, insert, 'i32.store offset=4');
    expect(stores.slice(stores.indexOf(refused) + 1)).toEqual([
      'i32.store', // The sequence is odd,
      'i64.store', // key
      'i64.store', // and value,
      'i32.store8', // the overflow count of its first group,
      'i32.store8', // and that this group changes,
      'i32.store8', // and so does its own,
      'i64.store8', // the tag. Then it counts.
    ]);
  });
});
