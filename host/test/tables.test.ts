import picocolors from 'picocolors';
import { describe, expect, it } from 'vitest';
import { Block } from '../src/stats/page.js';
import { decodeStats, type Stats } from '../src/stats/stats.js';
import { canRedraw, Live } from '../src/terminal/live.js';
import { Output } from '../src/terminal/output.js';
import { dropsText, statsLine, statsText } from '../src/terminal/stats-text.js';

const NO_COLORS = picocolors.createColors(false);

/** Stats of one lcore, two ports and a program, all zero but `rx` and what is dropped. */
function stats(elapsedMs: number, rx: number, dropped: number): Stats {
  const zero = new Block(new BigUint64Array(1), 0);
  const groups = [{ lcore: zero, ports: [zero, zero], programs: [zero] }];
  const page = { lcores: 1, ports: 2, programs: 1, cyclesHz: 1, frames: 1, generation: 1 };
  const names = { ports: ['in', 'out'], programs: ['guard'], xstats: [['missed'], []], rules: [] };
  const decoded = decodeStats({ ...page, groups }, names, { elapsedMs, framesUsed: 0 });
  const port = decoded.ports.in;
  if (port) {
    Object.assign(port, { rx, forwarded: rx - dropped, dropped, xstats: { missed: 3 } });
    Object.assign(port.drops, { program: dropped - 1, too_short: 1 });
  }
  return decoded;
}

describe('stats as text', () => {
  it('shows ports with rates since the last table, programs, lcores and the balance', () => {
    const text = statsText(stats(3000, 4000, 11), NO_COLORS, stats(1000, 1000, 11));
    expect(text).toContain('in    down     4,000  1.50k      3,989     0       11  program 10');
    expect(text).toContain('in: missed 3');
    expect(text).toMatch(/^guard +0 +0\.0 +0 +0 +0 +0 +0 {2}rebuilding$/m);
    expect(text).toMatch(/^0 +starting +0\.0 % +0\.0 +- +- +0$/m);
    expect(text).toContain('in = out + drops: exact (4,000 = 3,989 + 11)');
  });

  it('says what is missing when the balance is not even', () => {
    const broken = stats(1000, 100, 2);
    if (broken.ports.in) broken.ports.in.forwarded -= 5;
    const text = statsText(broken, NO_COLORS);
    expect(text).toContain('in = out + drops + in flight: 100 = 93 + 2 + 5');
  });

  it('names the reasons of drops, the most frequent first', () => {
    const { in: port } = stats(1, 10, 1).ports;
    expect(dropsText({ drops: { ...port?.drops, program: 2, too_short: 30 } as never })).toBe(
      'too_short 30, program 2',
    );
  });

  it('as a line has rates only', () => {
    expect(statsLine(stats(2000, 3000, 20), stats(1000, 1000, 10))).toBe(
      'in 2.00k/s, out 0/s, dropped 10/s',
    );
  });
});

/** A stream that keeps what is written. */
function stream(isTTY: boolean) {
  const texts: string[] = [];
  return { isTTY, texts, write: (text: string) => texts.push(text) };
}

describe('live tables', () => {
  it('are drawn over what was drawn before, and taken away', () => {
    const out = stream(true);
    const live = new Live(out);
    live.draw('a\nb');
    live.draw('c');
    live.clear();
    live.clear();
    expect(out.texts).toEqual(['a\nb\n', '\u001b[2A\u001b[J', 'c\n', '\u001b[1A\u001b[J']);
  });

  it('need a terminal that is not dumb', () => {
    expect(canRedraw(stream(true), {})).toBe(true);
    expect(canRedraw(stream(true), { TERM: 'dumb' })).toBe(false);
    expect(canRedraw(stream(false), {})).toBe(false);
  });
});

describe('where a command writes', () => {
  const options = { json: false, quiet: false, verbose: false, noColor: true };
  const output = (changed: Partial<typeof options>) => {
    const [stdout, stderr] = [stream(false), stream(false)];
    return { out: new Output({ ...options, ...changed }, stdout, stderr), stdout, stderr };
  };

  it('results to stdout, as text or as one object', () => {
    const text = output({});
    text.out.result('r');
    text.out.json('s/1', 1);
    expect(text.stdout.texts).toEqual(['r\n']);
    const json = output({ json: true });
    json.out.result('r');
    json.out.json('s/1', { bytes: Uint8Array.of(1, 255) });
    expect(json.stdout.texts).toEqual(['{"schema":"s/1","data":{"bytes":"01ff"}}\n']);
  });

  it('messages to stderr, less with --quiet and more with --verbose', () => {
    const say = ({ out }: ReturnType<typeof output>) => {
      out.message('m');
      out.detail('d');
    };
    const [usual, quiet, verbose] = [
      output({}),
      output({ quiet: true }),
      output({ verbose: true }),
    ];
    for (const each of [usual, quiet, verbose]) say(each);
    expect(usual.stderr.texts).toEqual(['m\n']);
    expect(quiet.stderr.texts).toEqual([]);
    expect(verbose.stderr.texts).toEqual(['m\n', 'd\n']);
  });

  it('a bug with its stack, anything else without', () => {
    const { out, stderr } = output({});
    expect(out.error(new TypeError('oops')).code).toBe('WIRELET_E_INTERNAL');
    expect(stderr.texts.join('')).toMatch(/error\[WIRELET_E_INTERNAL\]: oops[\s\S]*\n +at /);
  });
});
