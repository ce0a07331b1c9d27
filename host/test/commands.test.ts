import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { jsonOf, wirelet } from './binary.js';

const PROGRAMS = fileURLToPath(new URL('./programs/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'wirelet-commands-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

describe('wirelet build and inspect', () => {
  it('write a module with its source map, and show what is in it', async () => {
    const file = at('deep/macswap.wasm');
    const built = jsonOf(await wirelet(['build', 'programs/macswap', '-o', file, '--json']));
    expect(built).toMatchObject({
      schema: 'wirelet.build/1',
      data: { name: 'macswap', file, sourceMap: `${file}.map`, bytes: readFileSync(file).length },
    });
    expect(JSON.parse(readFileSync(`${file}.map`, 'utf8'))).toMatchObject({ version: 3 });

    const inspected = jsonOf(await wirelet(['inspect', file, '--json']));
    expect(inspected.data).toMatchObject({
      name: 'macswap',
      hasStart: false,
      manifest: { abi: 1, entry: 'onPacket' },
      codeBytes: expect.any(Number),
    });
    const text = await wirelet(['inspect', file]);
    expect(text.stdout).toContain('onBurst, wirelet_abi_1, memory');
  });

  it('inspect --wat prints the module and nothing else', async () => {
    const { stdout, stderr } = await wirelet(['inspect', 'programs/drop', '--wat']);
    expect(stdout).toMatch(/^\(module[\s\S]*\(export "onBurst"[\s\S]*\)\n$/);
    expect(stderr).toBe('');
  });

  it('a file that cannot be written is a coded error', async () => {
    const ended = await wirelet(['build', 'programs/drop', '-o', '/proc/nowhere/drop.wasm']);
    expect(ended.stderr).toContain('error[WIRELET_E_OUTPUT]: /proc/nowhere/drop.wasm');
    expect(ended.status).toBe(1);
  });
});

describe('wirelet check', () => {
  it('takes a program through the door and its onLoad', async () => {
    const ended = await wirelet(['check', 'programs/dnsguard', '--json']);
    expect(jsonOf(ended)).toMatchObject({
      schema: 'wirelet.check/1',
      data: { program: 'dnsguard', ok: true, counters: ['queries', 'blocked', 'malformed'] },
    });
  });

  it.each([
    ['no Wasm', 'no.wasm', 'WIRELET_E_MODULE_NOT_WASM'],
    ['a module of nothing', 'empty.wasm', 'WIRELET_E_MODULE_'],
  ])('%s is rejected with 4', async (_name, file, code) => {
    writeFileSync(at('no.wasm'), 'no Wasm');
    writeFileSync(at('empty.wasm'), Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    const ended = await wirelet(['check', at(file), '--json']);
    expect(jsonOf(ended).data.code).toContain(code);
    expect(ended.status).toBe(4);
  });

  it('settings of the wrong type are refused by onLoad, named', async () => {
    const ended = await wirelet(['check', `${PROGRAMS}trap`, '--set', 'length=x']);
    expect(ended.stderr).toContain('error[WIRELET_E_LOAD_TRAP]');
    expect(ended.stderr).toContain('setting "length" must be a number');
    expect(ended.status).toBe(4);
  });
});

describe('wirelet bench', () => {
  it('times a program beside its twin, and keeps every sample', async () => {
    const raw = at('raw.json');
    const args = ['--burst', '8,64', '--rounds', '3', '--raw', raw, '--json'];
    const ended = await wirelet(['bench', 'programs/macswap', ...args]);
    const { schema, data } = jsonOf(ended);
    const rows = data.rows as Record<string, number>[];
    expect(schema).toBe('wirelet.bench/1');
    expect(rows.map(({ burst }) => burst)).toEqual([8, 64]);
    for (const { nsPerPacket = 0, nativeNsPerPacket = 0, ratio } of rows) {
      expect(ratio).toBeCloseTo(nativeNsPerPacket / nsPerPacket, 10);
    }
    const samples = JSON.parse(readFileSync(raw, 'utf8')) as { rows: { samples: number[] }[] };
    expect(samples.rows.map((row) => row.samples.length)).toEqual([3, 3]);
  });

  it('a program without a twin has no ratio; packets may come from any capture', async () => {
    const capture = 'programs/dnsguard/test/listed-names-and-below.in.pcap';
    const args = [
      'bench',
      'programs/count',
      '-i',
      capture,
      '--burst',
      '4',
      '--rounds',
      '2',
      '--json',
    ];
    const { data } = jsonOf(await wirelet(args));
    expect(data.rows).toEqual([{ burst: 4, nsPerPacket: expect.any(Number) }]);
    expect(data.packets).toBeGreaterThan(0);
  });

  it.each([
    [['--burst', '0'], '--burst: "0" is not a list of numbers from 1 to 256'],
    [['--burst', '1,x'], '--burst: "1,x"'],
    [['--rounds', '-1'], '--rounds: "-1" is not a whole number'],
  ])('%j is a usage error', async (args, message) => {
    const ended = await wirelet(['bench', 'programs/drop', ...args]);
    expect(ended.stderr).toContain(message);
    expect(ended.status).toBe(2);
  });
});

describe('wirelet demo', () => {
  it('shows packets before and after, and that all are accounted for', async () => {
    const { status, stdout, stderr } = await wirelet(['demo']);
    expect(stdout.match(/in = out \+ drops: exact/g)).toHaveLength(2);
    expect(stdout).toMatch(/drop {4}.*A\? ads\.example/);
    expect(stdout).toMatch(/pass {4}.*A\? www\.example/);
    expect(stdout).toMatch(/latency from generator to sink: p50/);
    const [, file = ''] = /--in (\S+)/.exec(stdout) ?? [];
    expect(existsSync(file)).toBe(true);
    expect(stderr).toContain('2 lcores running');
    expect(status).toBe(0);
  });

  it('--json is one object', async () => {
    const ended = await wirelet(['demo', '--json', '--quiet']);
    const { data } = jsonOf(ended);
    expect(data.live).toMatchObject({ conservation: { exact: true } });
    expect(data.replay).toMatchObject({ packets: 6, verdicts: { pass: 4, drop: 2 } });
    expect(ended.stderr).toBe('');
  });
});
