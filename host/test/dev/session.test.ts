import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LoadedConfig } from '../../src/config/load.js';
import { DevSession, type DevTarget, type Reloaded } from '../../src/dev/session.js';
import { WireletError } from '../../src/error.js';
import type { Applied } from '../../src/generations.js';

const NOTHING: Applied = {
  plan: { generation: 1, actions: [], publishes: false, restart: false },
  change: null,
};

/** An appliance that "builds" the texts of its files. */
class FakeTarget implements DevTarget {
  /** Files of the programs, and what was read of each in every apply. */
  files: string[];
  readonly applied: { texts: string[]; changed: string[] | undefined; config: LoadedConfig }[] = [];
  configs = 0;
  /** Called in the middle of an apply, after files were read. */
  during: () => unknown = () => undefined;

  constructor(files: string[]) {
    this.files = files;
  }

  async readConfig(): Promise<LoadedConfig> {
    this.configs++;
    return configOf(readFileSync(at('config.ts'), 'utf8'));
  }

  async apply(config: LoadedConfig, changed: ReadonlySet<string> | undefined): Promise<Applied> {
    const texts = this.files.map((file) => readFileSync(file, 'utf8'));
    const names = changed && [...changed].map((file) => file.slice(folder.length + 1));
    this.applied.push({ texts, changed: names, config });
    await this.during();
    if (texts.includes('broken')) {
      const details = { files: this.files };
      throw new WireletError('WIRELET_E_PROGRAM_COMPILE', 'broken', { details });
    }
    return NOTHING;
  }

  programFiles(): string[] {
    return this.files;
  }
}

let folder: string;
let target: FakeTarget;
let session: DevSession;
let reloaded: Reloaded[];
let failed: WireletError[];
let told: () => void;
const at = (name: string) => join(folder, name);

function configOf(text: string): LoadedConfig {
  const config = { ports: { in: text } };
  return { file: at('config.ts'), directory: folder, config, files: [at('config.ts')] };
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wirelet-session-'));
  for (const name of ['a.ts', 'b.ts', 'config.ts']) writeFileSync(at(name), 'first');
  [reloaded, failed] = [[], []];
  told = () => undefined;
  target = new FakeTarget([at('a.ts'), at('b.ts')]);
});

afterEach(async () => {
  session.close();
  await session.idle();
  rmSync(folder, { recursive: true });
});

function start(readAt = Date.now() + 1000): void {
  const reports = {
    reloaded: (one: Reloaded) => {
      reloaded.push(one);
      told();
    },
    failed: (error: WireletError) => {
      failed.push(error);
      told();
    },
  };
  session = new DevSession(target, configOf('first'), reports, readAt);
}

/** Until `isSo` holds after a report. */
function until(isSo: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    told = () => isSo() && resolve();
    told();
  });
}

const last = () => target.applied.at(-1);

describe('a save', () => {
  it('is applied, with what was saved and how long it took to notice', async () => {
    start();
    writeFileSync(at('a.ts'), 'second');
    await until(() => reloaded.length === 1);
    expect(last()).toMatchObject({ texts: ['second', 'first'], changed: ['a.ts'] });
    expect(reloaded[0]).toMatchObject({ files: [at('a.ts')], change: null });
    expect(reloaded[0]?.watchMs).toBeGreaterThanOrEqual(0);
    expect(reloaded[0]?.watchMs).toBeLessThan(60_000);
    expect(target.configs).toBe(0);
  });

  it('of several programs at once is one apply', async () => {
    start();
    writeFileSync(at('a.ts'), 'second');
    writeFileSync(at('b.ts'), 'second');
    await until(() => reloaded.length > 0);
    expect(target.applied.map(({ texts }) => texts)).toEqual([['second', 'second']]);
  });

  it('during an apply is applied after it: what runs is what was saved last', async () => {
    start();
    let saves = 0;
    target.during = async () => {
      // Saved after this apply has read, and long before it ends.
      if (saves < 3) writeFileSync(at('a.ts'), `save ${++saves}`);
      await sleep(60);
    };
    writeFileSync(at('a.ts'), 'save 0');
    await until(() => last()?.texts[0] === 'save 3' && reloaded.length === target.applied.length);
    expect(target.applied.map(({ texts }) => texts[0])).toEqual([
      'save 0',
      'save 1',
      'save 2',
      'save 3',
    ]);
    expect(reloaded.at(-1)?.watchMs).toBeGreaterThan(20);
  });

  it('that can not be applied is reported, and made good together with the next one', async () => {
    start();
    writeFileSync(at('a.ts'), 'broken');
    await until(() => failed.length === 1);
    writeFileSync(at('b.ts'), 'second');
    await until(() => failed.length === 2);
    expect(last()?.changed).toEqual(['a.ts', 'b.ts']);
    writeFileSync(at('a.ts'), 'mended');
    await until(() => reloaded.length === 1);
    expect(last()).toMatchObject({ texts: ['mended', 'second'], changed: ['a.ts', 'b.ts'] });
    writeFileSync(at('b.ts'), 'third');
    await until(() => reloaded.length === 2);
    expect(last()?.changed).toEqual(['b.ts']);
  });

  it('of a file that is imported since the last one counts, also while it was read', async () => {
    start();
    target.during = () => {
      target.during = () => undefined;
      target.files = [at('a.ts'), at('new.ts')];
      writeFileSync(at('new.ts'), 'second');
    };
    writeFileSync(at('new.ts'), 'first');
    await sleep(60);
    writeFileSync(at('a.ts'), 'imports new');
    await until(() => last()?.texts[1] === 'second');
    writeFileSync(at('new.ts'), 'third');
    await until(() => last()?.texts[1] === 'third');
  });

  it('while everything started counts', async () => {
    writeFileSync(at('a.ts'), 'second');
    start(Date.now());
    await until(() => reloaded.length === 1);
    expect(last()?.texts[0]).toBe('second');
  });
});

describe('a config', () => {
  it('that is saved is read and applied; programs only where they were saved', async () => {
    start();
    writeFileSync(at('config.ts'), 'second');
    await until(() => reloaded.length === 1);
    expect(last()).toMatchObject({ changed: ['config.ts'], config: configOf('second') });
    writeFileSync(at('a.ts'), 'second');
    await until(() => reloaded.length === 2);
    expect(last()?.config).toEqual(configOf('second'));
    expect(target.configs).toBe(1);
  });

  it('that needs a restart is reported; programs go on with the one that runs', async () => {
    start();
    target.during = () => {
      if (last()?.config.config.ports.in !== 'other') return;
      throw new WireletError('WIRELET_E_RESTART_NEEDED', 'ports.in.device');
    };
    writeFileSync(at('config.ts'), 'other');
    await until(() => failed.length === 1);
    await session.idle();
    expect(reloaded).toEqual([]);
    expect(failed.map(({ code }) => code)).toEqual(['WIRELET_E_RESTART_NEEDED']);
    expect(last()?.config).toEqual(configOf('first'));
    writeFileSync(at('a.ts'), 'second');
    await until(() => reloaded.length === 1);
    expect(failed).toHaveLength(1);
    expect(last()).toMatchObject({ config: configOf('first'), changed: ['a.ts'] });
  });
});

it('by hand, everything is read anew', async () => {
  start();
  session.reload();
  await until(() => reloaded.length === 1);
  expect(reloaded[0]).toMatchObject({ files: [] });
  expect(last()?.changed).toBeUndefined();
  expect(target.configs).toBe(1);
});

it('nobody hears of what is under way when it is closed, nor of saves after it', async () => {
  start();
  target.during = () => sleep(50);
  session.reload();
  session.close();
  await session.idle();
  writeFileSync(at('a.ts'), 'second');
  await sleep(60);
  expect([target.applied.length, reloaded, failed]).toEqual([1, [], []]);
});
