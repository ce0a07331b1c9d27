/**
 * README.md, docs/start.md, docs/testing.md and testpmd's README, executed: files are written,
 * commands are run, output is compared, in a folder that looks like a clone. Tables that repeat the
 * code or raw results are compared with them.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DRIVERS, WRAPPERS } from '../host/src/device.js';
import { burstPicture, burstRows } from '../scripts/bursts.js';
import { MEASURED_TABLES } from '../scripts/measured.js';
import { DEVICE_SOURCES, deviceOptions, dropReasons, limits, withRows } from '../scripts/tables.js';
import { blocksOf, linksOf } from './docs/blocks.js';
import { Clone } from './docs/clone.js';
import { missingLines } from './docs/output.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

describe.each(['README.md', 'docs/start.md', 'docs/testing.md', 'programs/testpmd/README.md'])(
  '%s does what it says',
  { timeout: 120_000 },
  (path) => {
    let clone: Clone;
    beforeAll(() => {
      clone = new Clone(ROOT);
    });
    afterAll(() => clone.remove());

    let printed = '';
    for (const block of blocksOf(read(path))) {
      const { kind, line } = block;
      if (kind === 'file') {
        test(`line ${line}: ${block.name}`, () => clone.write(block.name, block.text));
      } else if (kind === 'commands') {
        test(`line ${line}: ${block.commands[0]}`, () => {
          printed = '';
          for (const command of block.commands) printed += clone.run(command);
        });
      } else if (kind === 'output') {
        test(`line ${line}: its output`, () => {
          const output = block.of === undefined ? printed : clone.run(block.of);
          expect(missingLines(block.text, output), output).toEqual([]);
        });
      } else {
        test(`line ${line}: a block of a known kind`, () =>
          expect(block.info).toBe('sh, ts or text'));
      }
    }
  },
);

describe('architecture.md repeats what native/abi declares', () => {
  const text = read('docs/architecture.md');

  test('limits', () => {
    const rows = limits(read('native/abi/src/limits.rs'));
    expect(rows.length).toBeGreaterThan(20);
    expect(text, 'run `npm run docs`').toBe(withRows(text, 'Limits', rows));
  });

  test('drop reasons', () => {
    const rows = dropReasons(read('native/abi/src/drops.rs'));
    expect(rows.length).toBeGreaterThan(10);
    expect(text, 'run `npm run docs`').toBe(withRows(text, 'Drop reasons', rows));
  });
});

describe('performance.md shows what was measured', () => {
  const results: Parameters<typeof burstRows>[0] = JSON.parse(read('bench/results/bursts.json'));

  test.each(MEASURED_TABLES)('$heading', ({ heading, file, rowsOf }) => {
    const text = read('docs/performance.md');
    const rows = rowsOf(JSON.parse(read(`bench/results/${file}.json`)));
    expect(rows.length).toBeGreaterThan(3);
    expect(text, 'run `npm run docs`').toBe(withRows(text, heading, rows));
  });

  test('bursts and chains, as a table and as a picture', () => {
    const text = read('docs/performance.md');
    const rows = burstRows(results);
    expect(rows.map((cells) => cells.length)).toEqual([6, 6, 6, 6]);
    expect(text, 'run `npm run docs`').toBe(withRows(text, 'Bursts and chains', rows));
    expect(read('docs/bursts.svg'), 'run `npm run docs`').toBe(burstPicture(results));
  });
});

describe('devices.md lists what each driver lists', () => {
  const text = read('docs/devices.md');

  test.each(Object.entries(DEVICE_SOURCES))('%s', (name, file) => {
    const rows = deviceOptions(read(`drivers/src/${file}`));
    // A loop and nothing else has no more than one option.
    expect(rows.length).toBeGreaterThan(0);
    expect(text, 'run `npm run docs`').toBe(withRows(text, name, rows));
  });

  test('every driver and every wrapper', () => {
    expect(Object.keys(DEVICE_SOURCES)).toEqual([...DRIVERS, ...WRAPPERS]);
  });
});

describe('programs.md', () => {
  const text = read('docs/programs.md');

  test('names everything that the runtime exports', () => {
    const index = read('runtime/index.ts');
    const exported = [...index.matchAll(/export \{([^}]*)\}/g)]
      .flatMap(([, names = '']) => names.split(','))
      .map((name) => name.trim())
      .filter((name) => name !== '');
    expect(exported.length).toBeGreaterThan(20);
    expect(exported.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
  });

  test('names every program of the gallery', () => {
    const folders = readdirSync(join(ROOT, 'programs'), { withFileTypes: true });
    const programs = folders.filter(
      (folder) =>
        folder.isDirectory() && existsSync(join(ROOT, 'programs', folder.name, 'index.ts')),
    );
    const names = programs.map(({ name }) => name).filter((name) => name !== 'testing');
    expect(names).not.toEqual([]);
    expect(names.filter((name) => !text.includes(`../programs/${name}/README.md`))).toEqual([]);
  });

  describe('has examples that the compiler and the engine take', () => {
    const clone = new Clone(ROOT);
    afterAll(() => clone.remove());

    for (const block of blocksOf(text)) {
      if (block.kind !== 'file') continue;
      test(block.name, { timeout: 120_000 }, () => {
        clone.write(block.name, block.text);
        expect(clone.run(`npx wirelet check ${dirname(block.name)}`)).toContain('ok ');
      });
    }
  });
});

describe('every link of a document leads somewhere', () => {
  const documents = ['README.md', 'CHANGELOG.md', ...under('docs')].filter((path) =>
    path.endsWith('.md'),
  );

  test.each(documents)('%s', (path) => {
    const broken = linksOf(read(path)).filter(({ file, heading }) => {
      const target = file === '' ? path : join(dirname(path), file);
      if (!existsSync(join(ROOT, target))) return true;
      return heading !== '' && !headingsOf(read(target)).includes(heading);
    });
    expect(broken).toEqual([]);
  });
});

function under(folder: string): string[] {
  const options = { recursive: true, withFileTypes: true } as const;
  return readdirSync(join(ROOT, folder), options)
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length));
}

/** Anchors as GitHub makes them. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

describe('the comparison of outputs', () => {
  test('bears other numbers, not other words', () => {
    expect(missingLines('a  1,200  3.4 ms', 'a 7 900 ns')).toEqual([]);
    expect(missingLines('a 1', 'b 1')).toEqual(['a #']);
    expect(missingLines('x\n...\ny', 'x\nz\ny')).toEqual([]);
  });
});
