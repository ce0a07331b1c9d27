import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { ethernet } from 'wirelet/test/layers';
import { readAbi } from './abi.js';
import { compile, Guest, type Settings } from './guest.js';

vi.setConfig({ testTimeout: 180_000 });

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

async function logs(settings: Settings): Promise<string[]> {
  return (await Guest.load('runtime/test/setup', settings)).logs;
}

describe('settings', () => {
  it('have defaults', async () => {
    expect(await logs({})).toEqual(['nothing', 'number 25', 'u32 7', 'has no u32', 'one', 'two']);
  });

  it('are read, whatever their order', async () => {
    const settings = {
      u32: 4294967295,
      strings: ['three', '', 'four'],
      numbers: [9, 8],
      number: 1.5,
      text: 'grüße, 世界 🌍',
    };
    const wanted = [
      'grüße, 世界 🌍',
      'number 15',
      'u32 4294967295',
      'has u32',
      '9',
      '8',
      'three',
      '',
      'four',
    ];
    expect(await logs(settings)).toEqual(wanted);
    expect(await logs(Object.fromEntries(Object.entries(settings).reverse()))).toEqual(wanted);
  });

  it('may be empty lists of either kind', async () => {
    expect(await logs({ numbers: [], strings: [] })).toEqual([
      'nothing',
      'number 25',
      'u32 7',
      'has no u32',
    ]);
  });

  it.each([
    [{ text: 5 }, 'setting "text" must be a string'],
    [{ number: 'five' }, 'setting "number" must be a number'],
    [{ strings: 'one' }, 'setting "strings" must be a list of strings'],
    [{ strings: [1] }, 'setting "strings" must be a list of strings'],
    [{ numbers: ['1'] }, 'setting "numbers" must be a list of numbers'],
    [{ late: 1 }, 'setting "late" must be true or false'],
    [{ u32: -1 }, 'setting "u32" must be a whole number'],
    [{ u32: 1.5 }, 'setting "u32" must be a whole number'],
    [{ u32: 4294967296 }, 'setting "u32" must be a whole number'],
    [{ u32: Number.NaN }, 'setting "u32" must be a whole number'],
  ] as [Settings, string][])('%j is refused', async (settings, message) => {
    await expect(logs(settings)).rejects.toThrow(message);
  });

  it('do not confuse names with a common beginning', async () => {
    expect(await logs({ tex: 'a', textual: 'b', u3: 1, [`u32${'x'.repeat(80)}`]: 2 })).toEqual(
      await logs({}),
    );
  });
});

describe('addresses', () => {
  it.each([
    ['ipv4', '255.0.10.1', '255.0.10.1'],
    ['mac', '02:aB:00:00:00:ff', '02:ab:00:00:00:ff'],
    ['mac', '02-ab-0-0-0-ff', '02:ab:00:00:00:ff'],
    ['ipv6', '2001:db8::1', '2001:0db8:0000:0000:0000:0000:0000:0001'],
    ['ipv6', '::', '0000:0000:0000:0000:0000:0000:0000:0000'],
    ['ipv6', 'fe80::', 'fe80:0000:0000:0000:0000:0000:0000:0000'],
    ['ipv6', '1:2:3:4:5:6:7:8', '0001:0002:0003:0004:0005:0006:0007:0008'],
    ['ipv6', '1:2:3:4:5:6:7::', '0001:0002:0003:0004:0005:0006:0007:0000'],
  ])('%s %s', async (kind, text, wanted) => {
    expect((await logs({ [kind]: text })).at(-1)).toBe(wanted);
  });

  it.each([
    ['ipv4', '10.0.0'],
    ['ipv4', '10.0.0.256'],
    ['ipv4', '10.0.0.1.2'],
    ['ipv4', '10.0..1'],
    ['ipv4', '10.0.0.a'],
    ['ipv4', '10.0.0.0001'],
    ['mac', '02:00:00:00:00'],
    ['mac', '02:00:00:00:00:0g'],
    ['mac', '02:00:00:00:00:000'],
    ['ipv6', ':::'],
    ['ipv6', '1::2::3'],
    ['ipv6', '1:2:3:4:5:6:7'],
    ['ipv6', '1:2:3:4:5:6:7:8:9'],
    ['ipv6', '1:2:3:4::5:6:7:8'],
    ['ipv6', '12345::'],
    ['ipv6', '::1.2.3.4'],
  ])('%s %s is refused', async (kind, text) => {
    await expect(logs({ [kind]: text })).rejects.toThrow(`"${text}" is not an`.slice(0, -3));
  });
});

describe('counters', () => {
  it.each(['x', 'é'.repeat(32), 'x'.repeat(64)])('%s is a name', async (name) => {
    expect((await Guest.load('runtime/test/setup', { counter: name })).counters).toEqual({
      [name]: 0,
    });
  });

  it.each(['x'.repeat(65), 'é'.repeat(33)])('%s is too long', async (name) => {
    await expect(logs({ counter: name })).rejects.toThrow('counter names have 1-64 bytes');
  });

  it('are opened while loading only', async () => {
    const guest = await Guest.load('runtime/test/setup', { late: true });
    expect(() => guest.run([ethernet()])).toThrow('counter() after loading');
  });
});

describe('log', () => {
  it('cuts a line at 256 bytes, between characters', async () => {
    expect((await logs({ text: 'x'.repeat(300) }))[0]).toBe('x'.repeat(256));
    expect((await logs({ text: `x${'🌍'.repeat(80)}` }))[0]).toBe(`x${'🌍'.repeat(63)}`);
    expect((await logs({ text: 'é'.repeat(200) }))[0]).toBe('é'.repeat(128));
  });

  it('builds lines without allocating, one at a time', async () => {
    const guest = await Guest.load('runtime/test/setup');
    guest.logs.length = 0;
    guest.run([ethernet(), ethernet({ pad: 300 })]);
    expect(guest.logs).toEqual([
      'a0000003c018446744073709551615',
      'a0000012c018446744073709551615',
    ]);
  });
});

describe('the profile', () => {
  it('asks for the five imports at most, and exports the ABI', async () => {
    const module = await WebAssembly.compile((await compile('runtime/test/setup')).wasm);
    const imports = WebAssembly.Module.imports(module).map(
      ({ module: from, name }) => `${from}.${name}`,
    );
    expect(imports.sort()).toEqual(['wirelet.abort', 'wirelet.counter', 'wirelet.log']);
    const exports = WebAssembly.Module.exports(module).map(({ name }) => name);
    expect(exports.sort()).toEqual(['_initialize', 'memory', 'onBurst', 'onLoad', 'wirelet_abi_1']);
    const drop = await WebAssembly.compile((await compile('programs/drop')).wasm);
    expect(WebAssembly.Module.imports(drop)).toEqual([]);
  });

  it('has the verdicts of the ABI', () => {
    const abi = readAbi(join(ROOT, 'runtime/abi.ts'));
    const text = readFileSync(join(ROOT, 'runtime/verdict.ts'), 'utf8');
    const values = [...text.matchAll(/^ {2}(\w+) = (\d+),$/gm)].map(([, name, value]) => [
      name,
      Number(value),
    ]);
    expect(values).toEqual([
      ['Pass', abi.VERDICT_PASS],
      ['Drop', abi.VERDICT_DROP],
      ['Redirect', abi.VERDICT_REDIRECT],
      ['Punt', abi.VERDICT_PUNT],
    ]);
  });
});

describe("editors' types", () => {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const program = (body: string): string =>
    `import { Packet, Udp, Verdict } from '@wirelet/runtime';
     export function onPacket(packet: Packet): Verdict { ${body} }`;

  /** What tsc says of each body, in a project that extends ours. */
  const check = (bodies: string[]): string[] => {
    mkdirSync(join(ROOT, 'build'), { recursive: true });
    const folder = mkdtempSync(join(ROOT, 'build/editor-'));
    const config = { extends: '@wirelet/runtime/tsconfig.json', include: ['*.ts'] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    for (const [i, body] of bodies.entries())
      writeFileSync(join(folder, `p${i}.ts`), program(body));
    const { stdout } = spawnSync(process.execPath, [tsc, '--noEmit', '-p', folder], {
      encoding: 'utf8',
    });
    rmSync(folder, { recursive: true });
    const lines = stdout.split('\n');
    return bodies.map((_, i) => lines.filter((line) => line.includes(`/p${i}.ts(`)).join('\n'));
  };

  it('accept the gallery', () => {
    const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', join(ROOT, 'programs')]);
    expect([stdout.toString(), status]).toEqual(['', 0]);
  });

  it('refuse mistakes and nothing else', () => {
    const wanted: [string, string][] = [
      [
        'const udp = Udp.find(packet); return udp && udp.isTo(53) ? Verdict.Drop : Verdict.Pass;',
        '',
      ],
      ["return 'drop';", "TS2322: Type '\"drop\"' is not assignable to type 'Verdict'"],
      ['return packet.lenght > 5 ? Verdict.Drop : Verdict.Pass;', "TS2551: Property 'lenght'"],
      ['return Udp.find(packet).isTo(53) ? Verdict.Drop : Verdict.Pass;', 'TS2531: Object is'],
      ['packet.length = 5; return Verdict.Pass;', 'TS2540: Cannot assign to'],
      ['', 'TS2355: A function whose declared type'],
    ];
    const said = check(wanted.map(([body]) => body));
    wanted.forEach(([body, message], i) => {
      if (message === '') expect(said[i], body).toBe('');
      else expect(said[i], body).toContain(message);
    });
  });
});
