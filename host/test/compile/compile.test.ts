import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { formatDiagnostics } from '../../src/compile/diagnostics.js';
import { inspectModule } from '../../src/compile/inspect.js';
import { runtimeFolder } from '../../src/compile/profile.js';
import { compile, PASS, program, rejection, write } from './workshop.js';

/** The compiler's thread is plain JavaScript, which the tests' tsconfig does not read. */
const { entryText } = (await import('../../src/compile/entry.js' as string)) as {
  entryText(entry: 'onPacket' | 'onBurst', hasLoad: boolean, program: string): string;
};
const repository = fileURLToPath(new URL('../../..', import.meta.url));

test('a program anywhere on disk compiles to a module that the engine takes', async () => {
  const { name, wasm, sourceMap, manifest, warnings } = await compile(program(PASS));
  expect(name).toMatch(/^p\d+$/);
  expect(warnings).toEqual([]);
  expect(sourceMap).toContain('"index.ts"');
  expect(manifest).toMatchObject({ abi: 1, entry: 'onPacket', affinity: 'none' });
  const report = await inspectModule(wasm);
  const names = report.exports.map((each) => each.name).sort();
  expect(names).toEqual(['_initialize', 'memory', 'onBurst', 'wirelet_abi_1']);
  expect(report.hasStart).toBe(false);
});

test.each(['drop', 'macswap', 'count'])('the gallery: %s compiles', async (name) => {
  const compiled = await compile(path.join(repository, 'programs', name));
  expect(compiled).toMatchObject({ name, manifest: { name, entry: 'onPacket' } });
});

test('a single file, onBurst, onLoad, top-level code, a file of its own beside it', async () => {
  write('single/limit.ts', 'export const LIMIT: u32 = 9;\n');
  const file = write(
    'single/guard.ts',
    `import { Burst } from '@wirelet/runtime';
import { LIMIT } from './limit';
const seen = new Map<u32, u32>();
export function onLoad(): void { seen.set(1, LIMIT); }
export function onBurst(burst: Burst): void { if (seen.has(2)) throw new Error('two'); }
`,
  );
  const { name, wasm, manifest } = await compile(file);
  expect({ name, entry: manifest?.entry }).toEqual({ name: 'guard', entry: 'onBurst' });
  const { exports } = await inspectModule(wasm);
  expect(exports.map((each) => each.name)).toContain('onLoad');
});

test('a folder with spaces and other letters, and a file above it', async () => {
  write('above ü/shared.ts', 'export const LIMIT: u32 = 9;\n');
  const text = `import { Packet, Verdict } from '@wirelet/runtime';
import { LIMIT } from '../shared';
${PASS.replace('Verdict.Pass', 'packet.length > LIMIT ? Verdict.Drop : nope')}`;
  const file = write("above ü/it's a program/index.ts", text);
  const { diagnostics } = await rejection(file);
  expect(diagnostics).toMatchObject([{ file: "above ü/it's a program/index.ts", line: 4 }]);
  write("above ü/it's a program/index.ts", text.replace('nope', 'Verdict.Pass'));
  const { name, sourceMap } = await compile(path.dirname(file));
  expect(name).toBe("it's a program");
  expect(sourceMap).toContain('"../shared.ts"');
});

test('a handler may come from another file, under another name', async () => {
  write(
    'parts/filter.ts',
    `import { Packet as P, Verdict } from '@wirelet/runtime';
function filter(packet: P): Verdict { return Verdict.Drop; }
export { filter as onPacket };
`,
  );
  const file = write('parts/index.ts', "export { onPacket } from './filter';\n");
  expect((await compile(file)).manifest).toMatchObject({ name: 'parts', entry: 'onPacket' });
});

test('the generated entry is the text that the guest SDK documents', () => {
  const documented = readFileSync(path.join(runtimeFolder(), 'entry.ts'), 'utf8')
    .split('\n')
    .map((line) => line.replace(/^\/\/ ? ?/, ''))
    .join('\n');
  for (const entry of ['onPacket', 'onBurst'] as const) {
    const lines = entryText(entry, false, 'PROGRAM').trimEnd().split('\n');
    expect(documented).toContain(lines.map((line) => ` ${line}`.trimEnd()).join('\n'));
  }
  expect(entryText('onBurst', true, 'PROGRAM')).toContain("export { onLoad } from 'PROGRAM';");
});

const ENTRIES: [string, string, RegExp, [number, number]][] = [
  ['neither handler', 'export const x = 1;\n', /neither onPacket nor onBurst/, [1, 1]],
  ['both handlers', `${PASS}export function onBurst(burst: Burst): void {}\n`, /not both/, [5, 17]],
  ['a handler that is not exported', PASS.replace('export ', ''), /is not exported/, [2, 10]],
  ['a misspelt handler', PASS.replace('onPacket', 'onpacket'), /Did you mean onPacket/, [2, 17]],
  ['a handler that is a constant', 'export const onPacket = 1;\n', /no function/, [2, 14]],
  ['a wrong parameter', PASS.replace('packet: Packet', 'n: u32'), /no Packet/, [2, 26]],
  ['a missing parameter', PASS.replace('packet: Packet', ''), /0 parameters/, [2, 17]],
  ['a wrong result', PASS.replace(': Verdict', ': bool'), /return Verdict/, [2, 43]],
  [
    'a handler that can be null',
    PASS.replace('packet: Packet', 'packet: Packet | null'),
    /no Packet/,
    [2, 26],
  ],
  ['a generic handler', PASS.replace('onPacket', 'onPacket<T>'), /generic/, [2, 17]],
  ['a wrong onLoad', `${PASS}export function onLoad(x: u32): void {}\n`, /onLoad/, [5, 17]],
];

test.each(ENTRIES)('%s is named on its line', async (_name, text, message, [line, column]) => {
  const { code, diagnostics } = await rejection(program(text));
  expect(code).toBe('WIRELET_E_PROGRAM_ENTRY');
  expect(diagnostics[0]?.message).toMatch(message);
  expect(diagnostics).toMatchObject([{ line, column, file: expect.stringMatching(/index\.ts$/) }]);
});

test('an error is at its line and column, with a frame', async () => {
  const text = PASS.replace('Verdict.Pass', 'Verdct.Pass');
  const { code, message, diagnostics } = await rejection(program(`// é\n${text}`));
  expect(code).toBe('WIRELET_E_PROGRAM_COMPILE');
  expect(message).toContain("Cannot find name 'Verdct'");
  expect(diagnostics).toMatchObject([
    { code: 'TS2304', severity: 'error', line: 4, column: 10, endColumn: 16 },
  ]);
  expect(diagnostics[0]?.frame).toBe(`  2 | // é
  3 | export function onPacket(packet: Packet): Verdict {
> 4 |   return Verdct.Pass;
    |          ^^^^^^
  5 | }`);
});

test('an error in another file names that file', async () => {
  const home = program(`import { f } from './other';\n${PASS.replace('{\n', '{\n  f();\n')}`);
  write(`${path.basename(home)}/other.ts`, 'export function f(): i32 {\n  return nope;\n}\n');
  const file = `${path.basename(home)}/other.ts`;
  expect((await rejection(home)).diagnostics).toMatchObject([{ file, line: 2, column: 10 }]);
  const lost = program(`import { g } from './nowhere';\n${PASS}`);
  expect((await rejection(lost)).diagnostics).toMatchObject([{ code: 'TS6054', line: 2 }]);
});

test('a syntax error and an unsafe call are errors of the author', async () => {
  const syntax = await rejection(program('export function onPacket(packet: Packet): Verdict {\n'));
  expect(syntax).toMatchObject({ code: 'WIRELET_E_PROGRAM_COMPILE' });
  const unsafe = await rejection(program(PASS.replace('{\n', '{\n  load<u8>(0);\n')));
  expect(unsafe.diagnostics).toMatchObject([{ line: 3, column: 3 }]);
});

test('many errors are counted behind the first ten', async () => {
  const lines = Array.from({ length: 14 }, (_, index) => `  nope${index}();`).join('\n');
  const { message, diagnostics } = await rejection(program(PASS.replace('{\n', `{\n${lines}\n`)));
  expect(diagnostics).toHaveLength(14);
  expect(message).toContain('14 errors');
  expect(message.endsWith('and 4 more')).toBe(true);
  expect(formatDiagnostics(diagnostics, { color: true, limit: 1 })).toContain('\u001b[31m');
});

test('what is no program is not found', async () => {
  write('empty/readme.md', '');
  for (const source of ['nowhere', 'empty', 'empty/readme.md']) {
    expect((await rejection(source)).code).toBe('WIRELET_E_PROGRAM_NOT_FOUND');
  }
});

test('a project may tune its programs, not change the ABI', async () => {
  const tuned = program(PASS);
  write(path.join(path.basename(tuned), 'asconfig.json'), '{"options": {"noAssert": true}}');
  await expect(compile(tuned)).resolves.toBeDefined();
  const extending = program(PASS);
  const base = '{"extends": "@wirelet/runtime/asconfig.json", "options": {"shrinkLevel": 1}}';
  write(path.join(path.basename(extending), 'asconfig.json'), base);
  await expect(compile(extending)).resolves.toBeDefined();
  for (const options of [
    '{"memoryBase": 0}',
    '{"transform": ["./evil.js"]}',
    '{"exportStart": "x"}',
  ]) {
    const changed = program(PASS);
    write(path.join(path.basename(changed), 'asconfig.json'), `{"options": ${options}}`);
    expect((await rejection(changed)).code).toBe('WIRELET_E_CONFIG_INVALID');
  }
  const broken = program(PASS);
  write(path.join(path.basename(broken), 'asconfig.json'), '{');
  expect((await rejection(broken)).code).toBe('WIRELET_E_CONFIG_INVALID');
});
