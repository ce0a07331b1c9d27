import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Save, Watcher } from '../../src/dev/watcher.js';

let folder: string;
let watcher: Watcher;
let saves: Save[];
let onSave: () => unknown;
const at = (name: string) => join(folder, name);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wirelet-watch-'));
  saves = [];
  onSave = () => undefined;
  watcher = new Watcher((save) => {
    saves.push(save);
    onSave();
  });
});

afterEach(() => {
  watcher.close();
  rmSync(folder, { recursive: true });
});

/** Files of the next saves, until all of `files` were among them. */
async function saved(...files: string[]): Promise<string[]> {
  for (;;) {
    const seen = saves.flatMap((save) => save.files);
    if (files.every((file) => seen.includes(at(file)))) {
      saves = [];
      return seen.map((file) => file.slice(folder.length + 1)).sort();
    }
    await new Promise<void>((resolve) => {
      onSave = resolve;
    });
  }
}

function watch(...files: string[]): void {
  watcher.watch(files.map(at));
}

function readIfThere(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

describe('a watcher', () => {
  it('says what was saved, and when', async () => {
    writeFileSync(at('a.ts'), '1');
    writeFileSync(at('b.ts'), '1');
    watch('a.ts', 'b.ts');
    const before = Date.now();
    writeFileSync(at('a.ts'), '2');
    while (saves.length === 0) await sleep(1);
    const [save] = saves;
    expect(save?.files).toEqual([at('a.ts')]);
    expect(save?.savedAt).toBeGreaterThan(before - 100);
    expect(save?.savedAt).toBeLessThanOrEqual(Date.now());
  });

  it('takes files that are written together as one save', async () => {
    for (const name of ['a.ts', 'b.ts', 'c.ts']) writeFileSync(at(name), '1');
    watch('a.ts', 'b.ts', 'c.ts');
    for (const name of ['a.ts', 'b.ts']) writeFileSync(at(name), '2');
    expect(await saved('a.ts', 'b.ts')).toEqual(['a.ts', 'b.ts']);
  });

  it('sees the last of many saves in a row, however editors write them', async () => {
    writeFileSync(at('a.ts'), '0');
    watch('a.ts');
    const ways: ((text: string) => void)[] = [
      (text) => writeFileSync(at('a.ts'), text),
      (text) => {
        writeFileSync(at('a.ts.new'), text);
        renameSync(at('a.ts.new'), at('a.ts'));
      },
      (text) => {
        renameSync(at('a.ts'), at('a.ts~'));
        writeFileSync(at('a.ts'), text);
      },
      (text) => {
        unlinkSync(at('a.ts'));
        writeFileSync(at('a.ts'), text);
      },
    ];
    for (const save of ways) {
      for (const gapMs of [0, 1, 5, 20]) {
        for (let round = 0; round < 4; round++) {
          save(`${gapMs} ${round}`);
          await sleep(gapMs);
        }
        save(`${gapMs} last`);
        await new Promise<void>((resolve) => {
          // What a reload would read.
          onSave = () => readIfThere(at('a.ts')) === `${gapMs} last` && resolve();
        });
      }
    }
  });

  it('sees a file that was not there, one that goes, and one that comes back', async () => {
    watch('late.ts');
    writeFileSync(at('late.ts'), '1');
    expect(await saved('late.ts')).toEqual(['late.ts']);
    unlinkSync(at('late.ts'));
    expect(await saved('late.ts')).toEqual(['late.ts']);
    writeFileSync(at('late.ts'), '2');
    expect(await saved('late.ts')).toEqual(['late.ts']);
  });

  it('sees a file in a folder that was not there', async () => {
    watch('part/index.ts');
    mkdirSync(at('part'));
    writeFileSync(at('part/index.ts'), '1');
    expect(await saved('part/index.ts')).toEqual(['part/index.ts']);
  });

  it('sees a folder that goes and comes back, and one that takes its place', async () => {
    mkdirSync(at('part'));
    writeFileSync(at('part/index.ts'), '1');
    watch('part/index.ts');
    rmSync(at('part'), { recursive: true });
    expect(await saved('part/index.ts')).toEqual(['part/index.ts']);
    mkdirSync(at('other'));
    writeFileSync(at('other/index.ts'), '2');
    renameSync(at('other'), at('part'));
    expect(await saved('part/index.ts')).toEqual(['part/index.ts']);
    await sleep(50);
    writeFileSync(at('part/index.ts'), '3');
    expect(await saved('part/index.ts')).toEqual(['part/index.ts']);
    renameSync(at('part'), at('old'));
    mkdirSync(at('part/deep'), { recursive: true });
    writeFileSync(at('part/index.ts'), '4');
    expect(await saved('part/index.ts')).toEqual(['part/index.ts']);
  });

  it('sees what a link leads to', async () => {
    mkdirSync(at('real'));
    writeFileSync(at('real/a.ts'), '1');
    symlinkSync(at('real/a.ts'), at('link.ts'));
    watch('link.ts');
    writeFileSync(at('real/a.ts'), '2');
    expect(await saved('link.ts')).toEqual(['link.ts']);
  });

  it('leaves alone what it was not asked about, or is not asked about any more', async () => {
    writeFileSync(at('a.ts'), '1');
    writeFileSync(at('b.ts'), '1');
    watch('a.ts', 'b.ts');
    watcher.watch([at('b.ts')]);
    writeFileSync(at('a.ts'), '2');
    writeFileSync(at('other.ts'), '2');
    await sleep(100);
    writeFileSync(at('b.ts'), '2');
    expect(await saved('b.ts')).toEqual(['b.ts']);
    watcher.watch([at('a.ts')]);
    await sleep(100);
    writeFileSync(at('a.ts'), '3');
    expect(await saved('a.ts')).toEqual(['a.ts']);
  });
});
