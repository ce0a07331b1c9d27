import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Options } from '../src/commands/command.js';
import { readSettings } from '../src/commands/settings-options.js';

const folder = mkdtempSync(join(tmpdir(), 'wirelet-settings-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(value: unknown): string {
  const path = join(folder, `${Math.random()}.json`);
  writeFileSync(path, JSON.stringify(value));
  return path;
}

async function read(programs: string[], set: string[], settings?: string) {
  const values = settings === undefined ? { set } : { set, settings };
  return Object.fromEntries(await readSettings(new Options(values), programs));
}

describe('--set', () => {
  it('names a program and a key; the value is JSON, or text when it is none', async () => {
    const set = ['guard.blocked=["a.example"]', 'count.limit=5', 'guard.name=a=b', 'guard.on=true'];
    expect(await read(['guard', 'count'], set)).toEqual({
      guard: { blocked: ['a.example'], name: 'a=b', on: true },
      count: { limit: 5 },
    });
  });

  it('with one program needs no name; a program whose name has a dot is found', async () => {
    expect(await read(['guard'], ['limit=1'])).toEqual({ guard: { limit: 1 } });
    expect(await read(['guard'], ['guards=1'])).toEqual({ guard: { guards: 1 } });
    expect(await read(['a.b', 'a'], ['a.b.c=1'])).toEqual({ 'a.b': { c: 1 }, a: {} });
  });

  it.each([
    [['limit'], '--set: "limit" is not program.key=value'],
    [['gaurd.limit=1'], 'no program of that name — did you mean "guard"?'],
    [['limit=1'], 'no program of that name'],
  ])('%j is wrong', async (set, message) => {
    const wrong = read(['guard', 'count'], set);
    await expect(wrong).rejects.toThrow(message);
    await expect(wrong).rejects.toMatchObject({ code: 'WIRELET_E_USAGE' });
  });
});

describe('--settings', () => {
  it('holds settings by program; --set is stronger', async () => {
    const path = file({ guard: { a: 1, b: 2 }, count: { c: 3 } });
    expect(await read(['guard', 'count'], ['guard.b=9'], path)).toEqual({
      guard: { a: 1, b: 9 },
      count: { c: 3 },
    });
  });

  it('or those of the only program', async () => {
    expect(await read(['guard'], [], file({ a: 1 }))).toEqual({ guard: { a: 1 } });
    expect(await read(['guard'], [], file({ guard: { a: 1 } }))).toEqual({ guard: { a: 1 } });
  });

  it('what is wrong with the file is named', async () => {
    await expect(read(['guard'], [], join(folder, 'none.json'))).rejects.toThrow('ENOENT');
    await expect(read(['a', 'b'], [], file({ c: {} }))).rejects.toThrow('no program of that name');
    await expect(read(['a', 'b'], [], file({ a: 1 }))).rejects.toThrow('a: settings are an object');
    await expect(read(['a'], [], file([1]))).rejects.toMatchObject({ code: 'WIRELET_E_SETTINGS' });
  });
});
