import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { Cache, cacheFolder } from '../../src/compile/cache.js';
import { compile, folder, PASS, program, rejection, write } from './workshop.js';

let caches = 0;
const newFolder = () => path.join(folder, `cache${++caches}`);
const objectsOf = (cache: string) =>
  readdirSync(path.join(cache, 'v1/objects')).map((name) => path.join(cache, 'v1/objects', name));

test('the second build of the same program is read, and is the same', async () => {
  const cache = new Cache(newFolder());
  const source = program(PASS);
  const first = await compile(source, { cache });
  const second = await compile(source, { cache });
  expect([first.cached, second.cached]).toEqual([false, true]);
  const untimed = { cached: false, durationMs: 0, compilerMs: 0 };
  expect({ ...second, ...untimed }).toEqual({ ...first, ...untimed });
  expect(first.compilerMs).toBeGreaterThan(0);
  expect(first.compilerMs).toBeLessThan(first.durationMs);
});

test('names every file that the result depends on, also of one that does not build', async () => {
  const cache = new Cache(newFolder());
  const home = program(`import { f } from './part';
${PASS.replace('{\n', '{\n  f();\n')}`);
  const part = path.join(home, 'part.ts');
  const looked = ['index.ts', 'part.ts', 'wirelet.json', 'asconfig.json'].map((name) =>
    path.join(home, name),
  );
  const failed = await rejection(home, { cache });
  expect(failed.details.files).toEqual(expect.arrayContaining(looked));
  writeFileSync(part, 'export function f(): void {}\n');
  for (const isCached of [false, true]) {
    const { files, cached } = await compile(home, { cache });
    expect(cached).toBe(isCached);
    expect(files).toEqual(expect.arrayContaining(looked));
    expect(files).toContainEqual(expect.stringMatching(/runtime\/packet\.ts$/));
    expect(new Set(files).size).toBe(files.length);
  }
});

test('a change of any file that was read builds anew, and so does a new one', async () => {
  const cache = new Cache(newFolder());
  const home = program(`import { f } from './part/index';\n${PASS.replace('{\n', '{\n  f();\n')}`);
  const file = (name: string) => `${path.basename(home)}/${name}`;
  write(file('part/index.ts'), 'export function f(): i32 { return 1; }\n');
  const cached = async () => (await compile(home, { cache })).cached;
  expect([await cached(), await cached()]).toEqual([false, true]);
  write(file('part/index.ts'), 'export function f(): i32 { return 2; }\n');
  expect([await cached(), await cached()]).toEqual([false, true]);
  write(file('wirelet.json'), '{"version": "1.2.3", "affinity": "symmetric"}');
  const told = await compile(home, { cache });
  expect(told.cached).toBe(false);
  expect(told.manifest).toMatchObject({ version: '1.2.3', affinity: 'symmetric' });
  write(file('asconfig.json'), '{"options": {"shrinkLevel": 1}}');
  expect([await cached(), await cached()]).toEqual([false, true]);
  write(file('part/index/index.ts'), '');
  expect(await cached()).toBe(true); // asc took part/index.ts before it looked further
  write(file('wirelet.json'), '{"affinity": "sometimes"}');
  expect((await rejection(home, { cache })).code).toBe('WIRELET_E_CONFIG_INVALID');
});

test('the same program in another folder has the same inputs', async () => {
  const a = await compile(path.dirname(write('a/twin/index.ts', `// twin\n${TWIN}`)));
  const b = await compile(path.dirname(write('b/twin/index.ts', `// twin\n${TWIN}`)));
  expect(a.manifest).toEqual(b.manifest);
  expect(a.wasm).toEqual(b.wasm);
});

const TWIN = `import { Packet, Verdict } from '@wirelet/runtime';\n${PASS}`;

test('a damaged entry is built again, never trusted', async () => {
  const place = newFolder();
  const source = program(PASS);
  const first = await compile(source, { cache: new Cache(place) });
  const [object = ''] = objectsOf(place);
  const good = readFileSync(object, 'utf8');
  const evil = { ...JSON.parse(good), wasm: Buffer.from('\0asm').toString('base64') };
  for (const damage of ['', '{', good.slice(0, -20), 'null', JSON.stringify(evil)]) {
    writeFileSync(object, damage);
    const again = await compile(source, { cache: new Cache(place) });
    expect(again).toMatchObject({ cached: false, wasm: first.wasm });
    expect(readFileSync(object, 'utf8')).toBe(good);
  }
});

test('the cache stays within its size, and leaves no half-written files', async () => {
  const place = newFolder();
  const cache = new Cache(place, 60_000);
  for (let round = 0; round < 4; round++) {
    await compile(program(`// ${'x'.repeat(20_000)}${round}\n${PASS}`), { cache });
  }
  const kept = objectsOf(place);
  const bytes = kept.reduce((sum, file) => sum + statSync(file).size, 0);
  expect(kept.length).toBeGreaterThan(0);
  expect(bytes).toBeLessThanOrEqual(60_000);
  expect(kept.every((file) => /\/[0-9a-f]{64}\.json$/.test(file))).toBe(true);
});

test('a cache that can not be written does not fail the build', async () => {
  const file = write('no-folder', '');
  await expect(compile(program(PASS), { cache: new Cache(file) })).resolves.toBeDefined();
  chmodSync(file, 0o400);
});

test('where the cache is', () => {
  expect(cacheFolder({ WIRELET_CACHE: '/w', XDG_CACHE_HOME: '/x' })).toBe('/w');
  expect(cacheFolder({ XDG_CACHE_HOME: '/x' })).toBe('/x/wirelet');
  expect(cacheFolder({ XDG_CACHE_HOME: 'relative' })).toMatch(/\/\.cache\/wirelet$/);
});
