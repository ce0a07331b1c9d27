import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const PROCESS = fileURLToPath(new URL('traps/process.js', import.meta.url));

test('traps of guests and of V8 are all reported, in one process that lives', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [PROCESS], { timeout: 55_000 });
  expect(JSON.parse(stdout)).toEqual([
    ['V8 before', 'RuntimeError'],
    ['JS thread, null', 'WIRELET_E_PROGRAM_TRAP'],
    ['lcore, null', 'WIRELET_E_PROGRAM_TRAP'],
    ['Worker, hole', 'WIRELET_E_PROGRAM_TRAP'],
    ['V8 between', 'RuntimeError'],
    ['JS thread, endless', 'WIRELET_E_PROGRAM_DEADLINE'],
    ['lcore, endless', 'WIRELET_E_PROGRAM_DEADLINE'],
    ['lcore, hole', 'WIRELET_E_PROGRAM_TRAP'],
    ['JS thread, hole', 'WIRELET_E_PROGRAM_TRAP'],
    ['Worker again, hole', 'WIRELET_E_PROGRAM_TRAP'],
    ['V8 after', 'RuntimeError'],
  ]);
});
