import { describe, expect, it } from 'vitest';
import { COMMANDS, COMMON_VERBS, EXIT_CODES } from '../src/commands/table.js';
import { jsonText } from '../src/json.js';
import { wantsColor } from '../src/terminal/color.js';
import { duration, grouped, short } from '../src/terminal/numbers.js';
import { tableText } from '../src/terminal/table.js';
import { jsonOf, wirelet } from './binary.js';

const ESC = '\u001b[';

describe('the command line', () => {
  it('without a word says what it is for, with examples and common verbs', async () => {
    const { status, stdout, stderr } = await wirelet([]);
    expect(stdout).toContain('Sandboxed packet programs');
    expect(stdout.match(/^ {2}wirelet /gm)).toHaveLength(2);
    for (const verb of COMMON_VERBS) expect(stdout).toContain(`  ${verb} `);
    expect([status, stderr]).toEqual([0, '']);
  });

  it('--help lists every command and exit status', async () => {
    const { status, stdout } = await wirelet(['--help']);
    for (const { name } of COMMANDS) {
      // Of `table get`, only `table` stands here.
      expect(stdout).toMatch(new RegExp(`^ {2}${name.split(' ')[0]}\\b`, 'm'));
    }
    for (const [code, meaning] of EXIT_CODES) expect(stdout).toContain(`${code}  ${meaning}`);
    expect(status).toBe(0);
  });

  it.each(COMMANDS.map(({ name }) => name))('help %s is its --help', async (name) => {
    const words = name.split(' ');
    const [help, flag] = await Promise.all([
      wirelet(['help', ...words]),
      wirelet([...words, '--help']),
    ]);
    expect(help).toEqual(flag);
    expect(help.status).toBe(0);
    expect(help.stdout).toContain(`Usage: wirelet ${name}`);
    expect(help.stdout).toContain('Examples:');
  });

  it.each([
    ['a verb', ['rpelay'], 'unknown command "rpelay" — did you mean "replay"?'],
    ['a verb of help', ['help', 'rnu'], 'unknown command "rnu" — did you mean "run"?'],
    ['a flag', ['check', 'x', '--jsn'], 'unknown option "--jsn" — did you mean "--json"?'],
    ['a missing argument', ['check'], 'missing required argument "program"'],
    ['one argument too many', ['demo', 'x'], 'too many arguments'],
    ['no part of a verb', ['rep'], 'unknown command "rep"'],
  ])('%s that is wrong ends with 2 and a hint', async (_name, args, message) => {
    const { status, stdout, stderr } = await wirelet(args);
    expect(stderr).toContain(`error[WIRELET_E_USAGE]: ${message}`);
    expect(stderr).toContain('hint: Run `wirelet help`');
    expect([status, stdout]).toEqual([2, '']);
  });

  it('with --json an error is one object on stdout too', async () => {
    const ended = await wirelet(['rnu', '--json']);
    expect(jsonOf(ended)).toEqual({
      schema: 'wirelet.error/1',
      data: {
        code: 'WIRELET_E_USAGE',
        message: 'unknown command "rnu" — did you mean "run"?',
        hint: expect.any(String),
        details: {},
      },
    });
    expect(ended.stderr).toContain('error[WIRELET_E_USAGE]');
  });

  it('colours follow FORCE_COLOR, NO_COLOR and --no-color', async () => {
    const coloured = await wirelet(['x'], { env: { FORCE_COLOR: '1' } });
    const none = await wirelet(['x'], { env: { FORCE_COLOR: '1', NO_COLOR: '1' } });
    const flag = await wirelet(['x', '--no-color'], { env: { FORCE_COLOR: '1' } });
    expect(coloured.stderr).toContain(ESC);
    expect(none.stderr).not.toContain(ESC);
    expect(flag.stderr).not.toContain(ESC);
  });
});

describe('output', () => {
  it.each([
    [{ isTTY: true, env: {}, off: false }, true],
    [{ isTTY: false, env: {}, off: false }, false],
    [{ isTTY: undefined, env: { CI: '1' }, off: false }, false],
    [{ isTTY: true, env: { TERM: 'dumb' }, off: false }, false],
    [{ isTTY: true, env: { NO_COLOR: '' }, off: false }, true],
    [{ isTTY: true, env: { NO_COLOR: '1' }, off: false }, false],
    [{ isTTY: false, env: { FORCE_COLOR: '1' }, off: false }, true],
    [{ isTTY: true, env: { FORCE_COLOR: '0' }, off: false }, false],
    [{ isTTY: true, env: { FORCE_COLOR: '1' }, off: true }, false],
  ])('colours of %o: %s', (request, expected) => {
    expect(wantsColor(request)).toBe(expected);
  });

  it('64-bit values are numbers as long as those are exact', () => {
    expect(jsonText({ a: 5n, b: 2n ** 53n - 1n, c: 2n ** 60n })).toBe(
      '{"a":5,"b":9007199254740991,"c":"1152921504606846976"}',
    );
  });

  it('tables align, colours take no room', () => {
    const columns = [{ title: 'port' }, { title: 'rx', align: 'right' as const }];
    expect(
      tableText(columns, [
        [`${ESC}31min${ESC}39m`, '1'],
        ['outer', '23'],
      ]),
    ).toBe(`port   rx\n${ESC}31min${ESC}39m      1\nouter  23`);
  });

  it('numbers are as people read them', () => {
    expect([grouped(1234567), grouped(12n), short(1_234_000), short(7)]).toEqual([
      '1,234,567',
      '12',
      '1.23M',
      '7',
    ]);
    expect([duration(12), duration(1_250), duration(3.4e6), duration(2e9)]).toEqual([
      '12 ns',
      '1.25 µs',
      '3.40 ms',
      '2.00 s',
    ]);
  });
});
