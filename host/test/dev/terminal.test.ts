import { describe, expect, it, vi } from 'vitest';
import { CONTROL_C, type KeyInput, Keys } from '../../src/dev/keys.js';
import { reloadedText } from '../../src/dev/text.js';
import type { GenerationChange } from '../../src/generations.js';
import { colorsFor } from '../../src/terminal/color.js';
import { Repeats } from '../../src/terminal/repeats.js';

class FakeInput implements KeyInput {
  readonly calls: string[] = [];
  #listener: ((data: Buffer) => void) | undefined;

  setRawMode = (isRaw: boolean) => this.calls.push(`raw ${isRaw}`);
  resume = () => this.calls.push('resume');
  pause = () => this.calls.push('pause');
  on = (_event: 'data', listener: (data: Buffer) => void) => {
    this.#listener = listener;
  };
  off = () => {
    this.#listener = undefined;
  };
  type = (text: string) => this.#listener?.(Buffer.from(text));
}

describe('keys', () => {
  it('call what stands under them, several at once too, and nothing for others', () => {
    const input = new FakeInput();
    const pressed: string[] = [];
    const keys = new Keys(input, {
      r: () => pressed.push('r'),
      q: () => pressed.push('q'),
      [CONTROL_C]: () => pressed.push('^C'),
    });
    input.type('r');
    input.type('xRr\n');
    input.type('constructor');
    input.type('\u001b[A\u0003q');
    expect(pressed).toEqual(['r', 'r', 'r', 'r', '^C', 'q']);
    keys.close();
    input.type('q');
    expect(pressed).toHaveLength(6);
  });

  it('give the terminal back as it was', () => {
    const input = new FakeInput();
    new Keys(input, {}).close();
    expect(input.calls).toEqual(['raw true', 'resume', 'raw false', 'pause']);
  });
});

describe('lines that repeat', () => {
  function written(redraws: boolean, ...lines: string[]): string {
    let text = '';
    const stream = { write: (part: string) => (text += part), columns: 40 };
    const repeats = new Repeats(stream, redraws);
    for (const line of lines) repeats.print(line);
    repeats.flush();
    return text;
  }

  it('are shown once with a count, which a terminal writes over itself', () => {
    const up = '\u001b[1A\u001b[2K';
    expect(written(true, 'a', 'a', 'a', 'b')).toBe(`a\n${up}a (×2)\n${up}a (×3)\nb\n`);
  });

  it('elsewhere are counted, and the count is told before the next line', () => {
    expect(written(false, 'a', 'a', 'b', 'b', 'b', 'c')).toBe(
      'a\n  (the same once more)\nb\n  (the same 2 times more)\nc\n',
    );
  });

  it('of several lines, or longer than the terminal, are never written over', () => {
    expect(written(true, 'a\nb', 'a\nb')).toBe('a\nb\n  (the same once more)\n');
    const long = 'x'.repeat(40);
    expect(written(true, long, long)).toBe(`${long}\n  (the same once more)\n`);
  });

  it('are told after a second, when nothing else comes', () => {
    vi.useFakeTimers();
    let text = '';
    const repeats = new Repeats({ write: (part: string) => (text += part) }, false);
    for (let i = 0; i < 5; i++) repeats.print('a');
    expect(text).toBe('a\n');
    vi.advanceTimersByTime(1000);
    expect(text).toBe('a\n  (the same 4 times more)\n');
    vi.useRealTimers();
  });
});

describe('what is said of a reload', () => {
  const colors = colorsFor({ isTTY: false, env: {}, off: true });
  const plan = { generation: 3, actions: [], publishes: true, restart: false };
  const change: GenerationChange = {
    kind: 'swap',
    from: 3,
    to: 4,
    programs: ['guard'],
    automatic: false,
    reason: '',
    at: 0,
    tables: [
      { program: 'guard', table: 'flows', action: 'grow' },
      { program: 'guard', table: 'seen', action: 'attach' },
    ],
    timesMs: {
      build: 103,
      compiler: 98,
      compile: 20,
      instantiate: 1.5,
      copy: 0,
      adopt: 0.4,
      total: 24,
    },
    loss: { packets: 0, missed: 0, drops: {} },
  };

  it('is the whole way from the save, step by step, and what became of tables', () => {
    const reloaded = { change, plan, files: [], watchMs: 6 };
    expect(reloadedText(reloaded, colors)).toBe(
      'guard: generation 3 → 4 in 133 ms (watch 6.00 ms, compile 98.0 ms, check 5.00 ms, ' +
        'machine code 20.0 ms, instantiate 1.50 ms, publish 400 µs), packets lost: 0\n' +
        '  table guard/flows: grow',
    );
  });

  it('names lost packets, and a change without a program', () => {
    const lost = { packets: 3, missed: 0, drops: { no_frame: 3 } };
    const routes = { ...change, programs: [], loss: lost, tables: [] };
    expect(reloadedText({ change: routes, plan, files: [], watchMs: 0 }, colors)).toMatch(
      /^pipelines: generation 3 → 4 .*, packets lost: 3 \(no_frame 3\)$/,
    );
  });

  it('is short where nothing changed', () => {
    const nothing = { change: null, plan, files: [], watchMs: 1 };
    expect(reloadedText(nothing, colors)).toBe('no changes');
    const option = { kind: 'option', what: 'rollback.faults', from: '3', to: '4' } as const;
    expect(reloadedText({ ...nothing, plan: { ...plan, actions: [option] } }, colors)).toBe(
      'options changed, no new generation',
    );
  });
});
