// The burst loops of the programs that bench compares with native code, as asc writes them: what
// makes a packet dearer shows as a difference. UPDATE_CASES=1 writes the files.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { compile } from '../runtime/test/guest.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000 });

/** The text of the function that the engine calls for a burst. */
async function onBurst(program: string): Promise<string> {
  const { wat } = await compile(`programs/${program}`);
  const start = wat.indexOf(` (func $programs/${program}/wirelet-entry/onBurst `);
  const end = wat.indexOf('\n )\n', start);
  // What abort gets are addresses and line numbers, which change with any line of the SDK.
  const text = wat
    .slice(start, end)
    .replace(/(\n +i32\.const -?\d+){4}(\n +call \S+\/abort\n)/g, '$2');
  return `${text}\n )\n`;
}

describe.each(['drop', 'macswap', 'dnsguard'])('%s', (program) => {
  it('has the burst loop it had', async () => {
    const file = fileURLToPath(new URL(`${program}/test/onBurst.wat`, import.meta.url));
    const text = await onBurst(program);
    if (process.env.UPDATE_CASES === '1') writeFileSync(file, text);
    expect(text).toBe(readFileSync(file, 'utf8'));
  });
});

it('macswap: no call, no branch but the loop, 3 loads and 3 stores a packet', async () => {
  const text = await onBurst('macswap');
  const loop = text.slice(text.indexOf('loop'));
  expect(loop.match(/\b(call|if|br|br_if|block)\b/g)).toEqual(['br_if']);
  expect(loop.match(/\.load/g)).toHaveLength(3);
  expect(loop.match(/\.store/g)).toHaveLength(3);
});

it('dnsguard: what is no UDP to port 53 costs 5 loads and no call', async () => {
  const text = await onBurst('dnsguard');
  const loop = text.slice(text.indexOf('loop'));
  // Data and length, two words of plain IPv4; then the search for everything else starts.
  const plain = loop.slice(0, loop.indexOf('call'));
  expect(plain.match(/\.load/g)).toHaveLength(4);
  const port = loop.slice(loop.indexOf('i32.load16_u offset=2'));
  expect(port).toMatch(/^i32\.load16_u offset=2\s+i32\.const 13568\s+i32\.eq/);
});
