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
