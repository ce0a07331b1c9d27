import { describe, expect, it } from 'vitest';
import type { GenerationChange } from '../../src/generations.js';
import { udp } from '../../src/packet/packets.js';
import type { ShadowReport } from '../../src/shadow.js';
import { changeText, lossText, planText, tablesText } from '../../src/terminal/change-text.js';
import { colorsFor } from '../../src/terminal/color.js';
import { shadowText } from '../../src/terminal/shadow-text.js';

const PLAIN = colorsFor({ env: {}, off: true });

const CHANGE: GenerationChange = {
  kind: 'swap',
  from: 3,
  to: 4,
  programs: ['guard'],
  automatic: false,
  reason: '',
  at: 0,
  tables: [
    { program: 'guard', table: 'flows', action: 'grow' },
    { program: 'guard', table: 'limits', action: 'attach' },
  ],
  timesMs: {
    build: 140,
    compiler: 100,
    compile: 21.4,
    instantiate: 12,
    copy: 0.00004,
    adopt: 1.21,
    total: 42,
  },
  loss: { packets: 0, missed: 0, drops: {} },
};

describe('a change', () => {
  it('says program, generations, time by steps and packets lost', () => {
    expect(changeText(CHANGE)).toBe(
      'guard: generation 3 → 4 in 182 ms ' +
        '(build 140 ms, compile 21.4 ms, instantiate 12.0 ms, adopt 1.21 ms), packets lost: 0',
    );
    expect(tablesText(CHANGE)).toEqual(['table guard/flows: grow']);
  });

  it('that happened by itself says why', () => {
    const { timesMs: _, loss: __, ...rest } = CHANGE;
    const reason = 'guard: generation 3 faulted 3 times';
    expect(changeText({ ...rest, kind: 'rollback', automatic: true, reason })).toBe(
      `guard: rolled back 3 → 4 by itself: ${reason}`,
    );
    expect(changeText({ ...rest, reason: 'lcore 1' })).toBe('guard: generation 3 → 4: lcore 1');
  });

  it('of pipelines alone is called so', () => {
    expect(changeText({ ...CHANGE, programs: [] })).toMatch(/^pipelines: generation 3 → 4/);
  });

  it('that lost packets says where', () => {
    expect(lossText({ packets: 1012, missed: 1000, drops: { program_down: 12 } })).toBe(
      '1,012 (missed 1,000, program_down 12)',
    );
  });
});

describe('a plan', () => {
  it('has a line for each action, with a sign', () => {
    const change = { what: 'settings.limit', from: '1', to: '2' };
    const text = planText(
      {
        generation: 7,
        publishes: true,
        restart: true,
        actions: [
          { kind: 'restart', what: 'burst', from: '64', to: '8' },
          { kind: 'replace', program: 'guard', changes: [change, { ...change, what: 'onFault' }] },
          { kind: 'add', program: 'new' },
          { kind: 'keep', program: 'count' },
          { kind: 'remove', program: 'old' },
          { kind: 'port', port: 'in', what: 'forward', from: 'none', to: '"out"' },
          { kind: 'option', what: 'rollback.faults', from: '3', to: '0' },
          { kind: 'table', program: 'guard', table: 'flows', action: 'attach' },
        ],
      },
      PLAIN,
    );
    expect(text.split('\n')).toEqual([
      'generation 7 runs, 6 changes',
      '  ! burst 64 → 8 (needs a restart)',
      '  ~ guard: settings.limit 1 → 2, onFault 1 → 2',
      '  + new',
      '  = count',
      '  - old',
      '  ~ port in: forward none → "out"',
      '  ~ rollback.faults 3 → 0',
      '    table guard/flows: attach',
    ]);
  });
});

describe('a shadow run', () => {
  const packet = udp({ ttl: 64 } as object);
  const changed = Uint8Array.from(packet);
  changed[22] = 9;
  const answer = { verdict: 'pass', egress: null, mark: 0, packet };
  const report: ShadowReport = {
    program: 'guard',
    durationMs: 10_000,
    sampleOneIn: 64,
    sampled: 1234,
    lost: 0,
    differences: 1,
    examples: [
      {
        lcore: 1,
        port: 'in',
        packet,
        current: answer,
        candidate: { ...answer, verdict: 'redirect', egress: 'tap', mark: 7, packet: changed },
      },
    ],
    faults: { current: 0, candidate: 0 },
  };

  it('shows both versions of a packet, and the fields that differ', () => {
    const lines = shadowText(report).split('\n');
    expect(lines[0]).toBe(
      'shadow of guard: 1,234 packets of 1/64 of the flows in 10.0 s, 1 differ',
    );
    expect(lines[1]).toMatch(/^ {2}in, lcore 1: IP /);
    expect(lines[2]).toMatch(/^ {4}current {4}pass: \S+ > \S+, ethertype IPv4/);
    expect(lines[3]).toMatch(/^ {4}candidate {2}redirect to tap, mark 7: \S+ > /);
    expect(lines.slice(4).join('\n')).toMatch(/0x0016 +40 +09 +IPv4 time to live/);
  });

  it('that saw nothing, fell behind or faulted says so', () => {
    const text = shadowText({
      ...report,
      sampled: 0,
      differences: 0,
      examples: [],
      lost: 5,
      faults: { current: 0, candidate: 2 },
      fault: { code: 'WIRELET_E_PROGRAM_TRAP', message: 'unreachable' },
    });
    expect(text).toContain('no packet was sampled: this run has shown nothing');
    expect(text).toContain('5 more were sampled and not run');
    expect(text).toContain('candidate 2: WIRELET_E_PROGRAM_TRAP: unreachable');
  });
});
