/** Runs of the compiler that are begun before there is a job for them. */
import { cpSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { digestOf } from '../../src/compile/cache.js';
import { Compiler } from '../../src/compile/compiler.js';
import type { CompileReply } from '../../src/compile/job.js';
import { loadProfile, resolvedOptions, runtimeFolder } from '../../src/compile/profile.js';
import { folder, PASS, program, write } from './workshop.js';

// A machine that does other things takes seconds for each of several compiles.
vi.setConfig({ testTimeout: 240_000 });

let compiler: Compiler;
beforeEach(() => {
  compiler = new Compiler();
});
afterEach(() => compiler.close());

/** Long enough for the thread to begin the next run after a reply, and to read the SDK for it. */
const BEGUN_MS = 2000;

function jobOf(home: string, runtime = runtimeFolder()) {
  const options = resolvedOptions(loadProfile(home).options, runtimeFolder());
  return { file: path.join(home, 'index.ts'), folder: home, runtime, options };
}

/**
 * What a program becomes. (The plain module is not compared: Binaryen writes what it has optimised
 * before in another way.)
 */
function essence({ wasm, sourceMap, entry, files, diagnostics }: CompileReply) {
  const paths = [...new Set(files.map((file) => file.path))];
  return { wasm: digestOf(wasm ?? ''), map: digestOf(sourceMap ?? ''), entry, diagnostics, paths };
}

const DROP = PASS.replace('Verdict.Pass', 'Verdict.Drop');

test('the module is the same, whether its run was begun ahead or for another program', async () => {
  const home = program(PASS);
  const other = program(DROP);
  const first = await compiler.compile(jobOf(home));
  await sleep(BEGUN_MS);
  const ahead = await compiler.compile(jobOf(home));
  await sleep(BEGUN_MS);
  await compiler.compile(jobOf(other));
  const anew = await compiler.compile(jobOf(home));
  expect(first.wasm).not.toBeNull();
  expect(essence(ahead)).toEqual(essence(first));
  expect(essence(anew)).toEqual(essence(first));
});

test('what is saved after a run was begun is compiled: program, import, SDK', async () => {
  const runtime = path.join(folder, 'sdk');
  cpSync(runtimeFolder(), runtime, { recursive: true });
  const home = program(
    `import { verdict } from './part';\n${DROP.replace('Verdict.Drop', 'verdict()')}`,
  );
  const part = path.join(path.basename(home), 'part.ts');
  const text = (name: string) => `import { Verdict } from '@wirelet/runtime';
export function verdict(): Verdict { return Verdict.${name}; }
`;
  const modules: (string | undefined)[] = [];
  const compile = async () => {
    const { wasm } = await compiler.compile(jobOf(home, runtime));
    modules.push(wasm ? Buffer.from(wasm).toString('hex') : undefined);
    await sleep(BEGUN_MS);
  };
  write(part, text('Pass'));
  await compile();
  write(part, text('Drop'));
  await compile();
  write(part, text('Pass'));
  await compile();
  // The SDK's own words for the verdicts, in another order.
  write(
    'sdk/verdict.ts',
    'export const enum Verdict { Drop = 0, Pass = 1, Redirect = 2, Punt = 3 }',
  );
  await compile();
  expect(modules.filter((each) => each === undefined)).toEqual([]);
  expect(modules[2]).toBe(modules[0]);
  expect(modules[3]).toBe(modules[1]);
  expect(modules[1]).not.toBe(modules[0]);
});

test('a program that does not compile leaves the next run as it should be', async () => {
  const home = program(PASS);
  const good = await compiler.compile(jobOf(home));
  await sleep(BEGUN_MS);
  const file = path.join(path.basename(home), 'index.ts');
  write(file, 'export const nothing = 1;\n');
  const bad = await compiler.compile(jobOf(home));
  expect(bad.wasm).toBeNull();
  expect(bad.diagnostics[0]?.message).toContain('neither onPacket nor onBurst');
  await sleep(BEGUN_MS);
  write(file, good.sources['index.ts']?.text ?? '');
  expect(essence(await compiler.compile(jobOf(home)))).toEqual(essence(good));
});
