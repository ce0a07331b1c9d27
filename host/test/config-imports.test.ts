import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { withImports } from '../src/config/imports.js';
import { loadConfig } from '../src/config/load.js';

const folder = mkdtempSync(join(tmpdir(), 'wirelet-imports-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

test('a config is its file and what it imports by relative paths, once each', async () => {
  mkdirSync(at('parts'));
  writeFileSync(
    at('wirelet.config.ts'),
    `import { defineConfig } from 'wirelet';
     import { ports } from './parts/ports.js';
     import settings from './settings.json' with { type: 'json' };
     import './nowhere';
     import 'node:fs';
     export default defineConfig({ ports, forward: settings.forward });`,
  );
  writeFileSync(
    at('parts/ports.ts'),
    `export { ports } from './device';
     import '../wirelet.config';`,
  );
  writeFileSync(at('parts/device.ts'), `export const ports = { in: 'null:' };`);
  writeFileSync(at('settings.json'), '{ "forward": {} }');
  const names = ['wirelet.config.ts', 'parts/ports.ts', 'settings.json', 'parts/device.ts'];
  expect(withImports(at('wirelet.config.ts'))).toEqual(names.map(at));
});

test('a loaded config says its files, and reads them anew each time', async () => {
  const home = at('live');
  mkdirSync(home);
  writeFileSync(join(home, 'ports.ts'), `export const ports = { in: 'null:' };`);
  writeFileSync(
    join(home, 'wirelet.config.ts'),
    `import { ports } from './ports';\nexport default { ports };`,
  );
  const files = ['wirelet.config.ts', 'ports.ts'].map((name) => join(home, name));
  expect(await loadConfig(home)).toMatchObject({ files, config: { ports: { in: 'null:' } } });
  writeFileSync(join(home, 'ports.ts'), `export const ports = { other: 'null:' };`);
  expect((await loadConfig(home)).config).toEqual({ ports: { other: 'null:' } });
});
