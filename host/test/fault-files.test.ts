import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Fault } from '../src/fault.js';
import { FaultFiles } from '../src/fault-files.js';

const PACKET = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14);

let root: string;
let folder: string;
let now: number;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wirelet-faults-'));
  folder = join(root, 'faults/app');
  now = Date.UTC(2026, 0, 1);
});
afterEach(() => rmSync(root, { recursive: true }));

function fault(more: Partial<Fault> = {}): Fault {
  return {
    code: 'WIRELET_E_PROGRAM_TRAP',
    message: 'out of bounds',
    tenant: 'default',
    program: 'guard',
    lcore: 1,
    generation: 7,
    frames: [],
    file: 'guard/index.ts',
    line: 9,
    column: 4,
    near: false,
    codeFrame: '',
    packet: PACKET,
    ...more,
  };
}

const files = (filesMax = 100) => new FaultFiles(folder, { filesMax }, () => now);

describe('packets of faults', () => {
  it('are saved with what their reader wants to know, for the user alone', () => {
    const path = files().save(fault(), 5n) ?? '';
    const text = readFileSync(path, 'latin1');
    expect(text).toContain(
      'default/guard, generation 7, guard/index.ts:9:4: WIRELET_E_PROGRAM_TRAP: out of bounds',
    );
    expect(text).toContain('wirelet lcore 1');
    expect(text).toContain(Buffer.from(PACKET).toString('latin1'));
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    expect(lstatSync(folder).mode & 0o777).toBe(0o700);
  });

  it('are not saved when there is none, or no file may be', () => {
    const { packet: _, ...none } = fault();
    expect(files().save(none, 0n)).toBeUndefined();
    expect(files(0).save(fault(), 0n)).toBeUndefined();
    expect(existsSync(folder)).toBe(false);
  });

  it('are so many at most; the oldest go, those of an earlier run first', () => {
    files(3).save(fault({ program: 'earlier' }), 0n);
    writeFileSync(join(folder, 'notes.txt'), 'mine');
    const kept = files(3);
    for (const program of ['a', 'b', 'c', 'd']) {
      now += 1000;
      kept.save(fault({ program }), 0n);
    }
    const programs = readdirSync(folder).map((name) => name.replace(/^fault-.*-/, ''));
    expect(programs.toSorted()).toEqual(['b.pcapng', 'c.pcapng', 'd.pcapng', 'notes.txt']);
  });

  it('of a storm are ten a second', () => {
    const storm = files();
    const saved = () => Array.from({ length: 50 }, () => storm.save(fault(), 0n)).filter(Boolean);
    expect(saved()).toHaveLength(10);
    now += 1000;
    expect(saved()).toHaveLength(10);
    expect(new Set(readdirSync(folder)).size).toBe(20);
  });

  it('with names that paths can’t have stay in the folder', () => {
    const path = files().save(fault({ program: '../../x/y' }), 0n) ?? '';
    expect(join(path, '..')).toBe(folder);
  });

  it('that can’t be saved are said once', () => {
    mkdirSync(join(root, 'faults'));
    writeFileSync(folder, 'a file');
    const broken = files();
    expect(() => broken.save(fault(), 0n)).toThrow(/packets of faults can't be saved/);
    expect(broken.save(fault(), 0n)).toBeUndefined();
  });
});
