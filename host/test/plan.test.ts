import { describe, expect, it } from 'vitest';
import { resolveConfig } from '../src/config/resolve.js';
import type { WireletConfig } from '../src/config/schema.js';
import { alignPorts, type Deployment, needsGeneration, planActions } from '../src/plan.js';
import { loadedProgram } from './loaded.js';

const PORTS = { in: 'gen:?count=1', out: 'sink:' };
const BASE = {
  ports: PORTS,
  forward: { in: 'out' },
  programs: { guard: { source: 'guard', settings: { limit: 1 } }, count: 'count' },
} satisfies WireletConfig;

/** `config` with modules that are their names, unless `modules` says other bytes. */
function deployment(config: unknown, modules: Record<string, string> = {}): Deployment {
  const resolved = resolveConfig(config, { directory: '/app', env: {} });
  const programs = new Map(
    resolved.programs.map(({ name }) => [name, loadedProgram(modules[name] ?? name)]),
  );
  return { config: resolved, programs };
}

/** What differs, as text: `kind what from > to`. */
function differences(from: Deployment, to: Deployment): string[] {
  return planActions(from, to).flatMap((action) => {
    switch (action.kind) {
      case 'keep':
        return [];
      case 'add':
      case 'remove':
        return [`${action.kind} ${action.program}`];
      case 'replace':
        return action.changes.map((each) => `${action.program} ${text(each)}`);
      case 'port':
        return [`port ${action.port} ${text(action)}`];
      case 'table':
        return [`table ${action.table}`];
      default:
        return [`${action.kind} ${text(action)}`];
    }
  });
}

function text({ what, from, to }: { what: string; from: string; to: string }): string {
  return `${what} ${from} > ${to}`;
}

const running = deployment(BASE);

describe('a plan', () => {
  it('keeps every program of an equal config', () => {
    const actions = planActions(running, deployment(structuredClone(BASE)));
    expect(actions).toEqual([
      { kind: 'keep', program: 'guard' },
      { kind: 'keep', program: 'count' },
    ]);
    expect(needsGeneration(actions)).toBe(false);
  });

  it('publishes other rules, and restarts for who carries them out', () => {
    const rules = { in: [{ match: { vlan: 7 }, action: { drop: true as const } }] };
    const ruled = deployment({ ...BASE, rules });
    expect(differences(running, ruled)).toEqual(['port in rules [] > ["vlan 7: drop"]']);
    expect(needsGeneration(planActions(running, ruled))).toBe(true);
    expect(differences(ruled, ruled)).toEqual([]);
    const never = { ...PORTS, in: { device: PORTS.in, offload: 'never' as const } };
    expect(differences(running, deployment({ ...BASE, ports: never }))).toEqual([
      'restart ports.in.offload "auto" > "never"',
    ]);
  });

  it('replaces a program for its bytes, whatever its source is called', () => {
    expect(differences(running, deployment(BASE, { guard: 'other' }))).toEqual([
      expect.stringMatching(/^guard module [0-9a-f]{12} > [0-9a-f]{12}$/),
    ]);
    const moved = { ...BASE, programs: { ...BASE.programs, count: 'elsewhere' } };
    expect(differences(running, deployment(moved))).toEqual([]);
  });

  const guard = BASE.programs.guard;
  it.each([
    [{ settings: { limit: 2, log: true } }, ['settings.limit 1 > 2', 'settings.log none > true']],
    [{ settings: {} }, ['settings.limit 1 > none']],
    [{ deadlineMs: 5 }, ['deadlineMs 10 > 5']],
    [{ onFault: 'previous' }, ['onFault "drop" > "previous"']],
    [{ redirectTo: ['out'] }, ['redirectTo none > ["out"]']],
  ])('says what changed of a program: %j', (change, expected) => {
    const programs = { ...BASE.programs, guard: { ...guard, ...change } };
    const texts = differences(running, deployment({ ...BASE, programs }));
    expect(texts).toEqual(expected.map((each) => `guard ${each}`));
  });

  it('adds, removes, and says what that does to pipelines', () => {
    const programs = { guard, meter: 'meter' };
    expect(differences(running, deployment({ ...BASE, programs }))).toEqual([
      'add meter',
      'remove count',
      'port in pipeline ["guard","count"] > ["guard","meter"]',
      'port out pipeline ["guard","count"] > ["guard","meter"]',
    ]);
  });

  it('compares pipelines and pairs of ports by name', () => {
    const reordered = {
      ...BASE,
      programs: { count: 'count', guard },
      pipeline: ['guard', 'count'],
    };
    expect(differences(running, deployment(reordered))).toEqual([]);
    const changed = { ...BASE, forward: { out: 'in' }, punt: { in: 'out' }, pipeline: ['count'] };
    expect(differences(running, deployment(changed))).toEqual([
      'port in pipeline ["guard","count"] > ["count"]',
      'port in forward "out" > none',
      'port in punt none > "out"',
      'port out pipeline ["guard","count"] > ["count"]',
      'port out forward none > "in"',
      'port out punt none > "in"',
    ]);
  });

  it('options need no generation', () => {
    const config = { ...BASE, rollback: { faults: 0 }, faults: { filesMax: 5 } };
    const actions = planActions(running, deployment(config));
    expect(needsGeneration(actions)).toBe(false);
    expect(differences(running, deployment(config))).toEqual([
      'option rollback.faults 3 > 0',
      'option faults.filesMax 100 > 5',
    ]);
  });

  it.each([
    [{ lcores: 2 }, 'lcores [-1] > [-1,-1]'],
    [{ burst: 8 }, 'burst 64 > 8'],
    [{ idle: 'poll' }, 'idle "adaptive" > "poll"'],
    [{ frames: 1024 }, 'frames 16384 > 1024'],
    [{ frameBytes: 2048 }, 'frameBytes 2240 > 2048'],
    [{ hugepages: false }, 'hugepages true > false'],
    [{ ports: { ...PORTS, in: 'null:' } }, 'ports.in.device "gen:?count=1" > "null:"'],
    [{ ports: { ...PORTS, out: { device: 'sink:', queues: 2 } } }, 'ports.out.queues 1 > 2'],
    [{ ports: { ...PORTS, tap: 'null:' } }, 'ports.tap none > "null:"'],
    [{ ports: { in: PORTS.in }, forward: {} }, 'ports.out "sink:" > none'],
    [{ state: { persist: true } }, 'state.directory "" > "/dev/shm/wirelet-app"'],
    [{ dpdk: { eal: ['-m', '64'] } }, 'dpdk.eal none > ["-m","64"]'],
    [{ control: { socket: false } }, 'control.socket none > false'],
  ])('what is fixed while it runs needs a restart: %j', (change, expected) => {
    const texts = differences(running, deployment({ ...BASE, ...change }));
    expect(texts).toContain(`restart ${expected}`);
  });

  it('ports in another order are the same ports', () => {
    const tap = { device: 'null:', pipeline: [] };
    const punt = { in: 'tap' };
    const before = deployment({ ...BASE, ports: { ...PORTS, tap }, punt });
    const programs = { guard: { ...guard, redirectTo: ['tap'] }, count: 'count' };
    const ports = { tap, out: PORTS.out, in: PORTS.in };
    const after = deployment({ ...BASE, ports, punt, programs });
    expect(differences(before, after)).toEqual(['guard redirectTo none > ["tap"]']);
    const { ports: aligned, programs: moved } = alignPorts(after.config, before.config);
    expect(aligned.map(({ name, forward, punt: to }) => [name, forward, to])).toEqual([
      ['in', 1, 2],
      ['out', -1, -1],
      ['tap', 0, 0],
    ]);
    expect(moved[0]?.redirectTo).toEqual([2]);
  });
});
