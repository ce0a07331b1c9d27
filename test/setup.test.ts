/** The scripts that run before anything else: what they say, and that one waits for another. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { missingPlatforms } from '../scripts/platforms.js';
import { fingerprint, isFresh, remember } from '../scripts/stamp.js';
import { readCargo, summary } from '../scripts/summary.js';

const SCRIPTS = fileURLToPath(new URL('../scripts/', import.meta.url));
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wirelet-setup-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a missing prerequisite is one sentence with a command', () => {
  let bin: string;

  beforeEach(() => {
    bin = mkdtempSync(join(folder, 'bin-'));
    for (const tool of ['npm', 'rustc', 'cargo']) tells(tool, `${tool} 99.0.0`);
    symlinkSync('/usr/bin/env', join(bin, 'env'));
    // It reads its program: one that ends first would break the pipe to it.
    script('cc', 'read -r program');
  });

  function script(name: string, text: string): void {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  }

  function tells(tool: string, version: string): void {
    script(tool, `echo '${version}'`);
  }

  function require(): { status: number | null; stderr: string } {
    const module = JSON.stringify(join(SCRIPTS, 'prerequisites.js'));
    const code = `import(${module}).then((tools) => tools.requireTools())`;
    const env = { PATH: bin, HOME: folder };
    return spawnSync(process.execPath, ['-e', code], { env, encoding: 'utf8' });
  }

  test('nothing is missing', () => {
    expect(require()).toMatchObject({ status: 0, stderr: '' });
  });

  test.each(['npm', 'rustc', 'cargo', 'cc'])('no %s', (tool) => {
    rmSync(join(bin, tool));
    const { status, stderr } = require();
    expect(status).toBe(1);
    expect(stderr).toMatch(/^setup: .* is needed.*: .+\n$/);
    expect(stderr).toContain(tool);
  });

  test('an old Rust, with and without rustup', () => {
    tells('rustc', 'rustc 1.94.1 (abc 2026-01-01)');
    expect(require().stderr).toMatch(/^setup: Rust >= 1\.95 .* rustc is 1\.94\.1: curl .*rustup/);
    tells('rustup', 'rustup 1.28.0');
    expect(require().stderr).toContain('rustup update stable');
  });

  test('a compiler that links nothing', () => {
    script('cc', 'echo "cannot find crt1.o" >&2; exit 1');
    expect(require().stderr).toMatch(/^setup: a C linker is needed/);
  });
});

describe('set-ups exclude each other', () => {
  /** Holds the lock for a while, and says when. */
  function holder(lock: string): Promise<string[]> {
    const code = `
      import { withLock } from ${JSON.stringify(join(SCRIPTS, 'lock.js'))};
      await withLock(${JSON.stringify(lock)}, async () => {
        process.stdout.write('in\\n');
        await new Promise((resolve) => setTimeout(resolve, 300));
        process.stdout.write('out\\n');
      });`;
    const options = ['--input-type=module', '-e', code];
    const child = spawn(process.execPath, options, { stdio: ['ignore', 'pipe', 'ignore'] });
    return new Promise((resolve) => {
      child.stdout.on('data', (data) => events.push(...String(data).trim().split('\n')));
      child.on('close', () => resolve(events));
    });
  }
  const events: string[] = [];

  test('one after the other', async () => {
    const lock = join(folder, 'one.lock');
    await Promise.all([holder(lock), holder(lock), holder(lock)]);
    expect(events).toEqual(['in', 'out', 'in', 'out', 'in', 'out']);
  });

  test('the lock of a dead process is taken over', async () => {
    const lock = join(folder, 'dead.lock');
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    writeFileSync(lock, `${dead}\n`);
    events.length = 0;
    await Promise.all([holder(lock), holder(lock)]);
    expect(events).toEqual(['in', 'out', 'in', 'out']);
  });
});

test('a step is fresh until something that it is made from changes', () => {
  const [stamps, input] = [join(folder, 'stamps.json'), join(folder, 'input')];
  writeFileSync(input, 'a');
  const print = fingerprint(folder, ['input']);
  remember(stamps, 'step', print);
  expect(isFresh(stamps, 'step', fingerprint(folder, ['input']))).toBe(true);
  expect(isFresh(stamps, 'other', print)).toBe(false);
  writeFileSync(input, 'ab');
  expect(isFresh(stamps, 'step', fingerprint(folder, ['input']))).toBe(false);
  expect(fingerprint(folder, ['gone'])).not.toBe(fingerprint(folder, []));
});

test('closing lines are added up', () => {
  const line = 'test result: ok. 12 passed; 1 failed; 2 ignored; 0 measured; 3 filtered out';
  const output = `x\n${line}\nskipped: network namespaces: not root\n${line}\n`;
  const cargo = { name: 'cargo test', ended: '', ...readCargo(output) };
  // A test that skips itself has passed, for libtest.
  expect(cargo).toMatchObject({ lines: [line, line], passed: 23, failed: 2, skipped: 5 });
  const vitest = {
    name: 'vitest',
    lines: [' Tests  1 passed (1)'],
    passed: 1,
    failed: 0,
    skipped: 0,
  };
  const text = summary([cargo, { ...vitest, ended: 'vitest ended with 1' }]);
  expect(text.endsWith('vitest ended with 1\n24 passed, 2 failed, 5 skipped\n')).toBe(true);
});

test('package-lock.json has what npm ci wants, for every system', () => {
  const lock = JSON.parse(readFileSync(join(SCRIPTS, '../package-lock.json'), 'utf8'));
  expect(missingPlatforms(lock), 'run `npm run lock`').toEqual({});
  const packages = { 'node_modules/a': { optionalDependencies: { 'a-linux-x64-musl': '1.0.0' } } };
  expect(missingPlatforms({ packages })).toEqual({
    'node_modules/a-linux-x64-musl': {
      version: '1.0.0',
      cpu: ['x64'],
      libc: ['musl'],
      optional: true,
      os: ['linux'],
    },
  });
});
