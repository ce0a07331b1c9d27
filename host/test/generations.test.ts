import { beforeEach, describe, expect, it } from 'vitest';
import { LCORE_BLOCK_GENERATION } from '../src/abi.js';
import { resolveConfig } from '../src/config/resolve.js';
import type { WireletError } from '../src/error.js';
import { type GenerationChange, Generations } from '../src/generations.js';
import type { Deployment } from '../src/plan.js';
import { StatsPage } from '../src/stats/page.js';
import { decodeStats } from '../src/stats/stats.js';
import { FakeNative, nativeEvent } from './fake-native.js';
import { loadedProgram } from './loaded.js';

const NAMES = { ports: ['in', 'out'], xstats: [[], []], rules: [] };
const ROOM = { elapsedMs: 0, framesUsed: 0 };

/** guard and count, whose modules are these bytes. */
function deployment(modules: Record<string, string>, more: object = {}): Deployment {
  const config = resolveConfig(
    {
      ports: { in: 'gen:?count=1', out: 'sink:' },
      forward: { in: 'out' },
      programs: Object.fromEntries(Object.keys(modules).map((name) => [name, name])),
      ...more,
    },
    { directory: '/app', env: {} },
  );
  const loaded = Object.entries(modules).map(
    ([name, bytes]) => [name, loadedProgram(bytes)] as const,
  );
  return { config, programs: new Map(loaded) };
}

let native: FakeNative;
let changes: GenerationChange[];
let errors: WireletError[];
let generations: Generations;

beforeEach(() => {
  native = new FakeNative(['guard', 'count']);
  changes = [];
  errors = [];
  const page = new StatsPage(() => native.statsPage());
  generations = new Generations(deployment({ guard: 'g1', count: 'c1' }), {
    native,
    track: (call) => call,
    stats: () => decodeStats(page.read(), { ...NAMES, programs: native.slots }, ROOM),
    takeEvents: () => {
      for (const event of native.events()) generations.onEvent(event);
    },
    changed: (change) => changes.push(change),
    failed: (error) => errors.push(error),
  });
  // Counters of an lcore that has adopted whatever comes.
  native.page.lcore(0, LCORE_BLOCK_GENERATION, 1_000_000);
});

/** Module of a program in what runs. */
function moduleOf(program: string, generation = generations.running.generation): string {
  return new TextDecoder().decode(generations.programOf(program, generation)?.wasm);
}

describe('generations', () => {
  it('apply publishes what differs and keeps what is equal', async () => {
    const { change, plan } = await generations.apply(deployment({ guard: 'g2', count: 'c1' }));
    expect(plan).toMatchObject({ generation: 1, publishes: true });
    expect(change).toMatchObject({ kind: 'swap', from: 1, to: 2, programs: ['guard'] });
    expect(change?.loss).toEqual({ packets: 0, missed: 0, drops: {} });
    const [spec] = native.specs;
    expect(spec?.programs.map(({ program, keep }) => [program.name, keep])).toEqual([
      ['guard', false],
      ['count', true],
    ]);
    expect(spec).toMatchObject({ dryRun: false, rollbackFaults: 3, rollbackMs: 10_000 });
    expect(generations.running.generation).toBe(2);
    expect(changes).toEqual([change]);
  });

  it('apply of what runs touches nothing', async () => {
    const same = deployment({ guard: 'g1', count: 'c1' });
    expect(await generations.apply(same)).toMatchObject({ change: null });
    expect(native.specs).toEqual([]);
    expect(generations.running.generation).toBe(1);
  });

  it('options of the host take effect without a generation', async () => {
    const config = deployment({ guard: 'g1', count: 'c1' }, { rollback: { faults: 9 } });
    expect(await generations.apply(config)).toMatchObject({ change: null });
    expect(generations.running).toMatchObject({ generation: 1, config: config.config });
    await generations.apply({
      ...config,
      programs: deployment({ guard: 'g2', count: 'c1' }).programs,
    });
    expect(native.specs[0]?.rollbackFaults).toBe(9);
  });

  it('a plan asks the engine and touches nothing', async () => {
    const desired = deployment({ guard: 'g2', count: 'c1' });
    const plan = await generations.plan(desired, { resetState: true });
    expect(plan).toMatchObject({ generation: 1, publishes: true, restart: false });
    expect(native.specs[0]).toMatchObject({ dryRun: true, resetState: true });
    expect(generations.running.generation).toBe(1);
    expect(changes).toEqual([]);
  });

  it('what needs a restart is planned, and refused by apply', async () => {
    const desired = deployment({ guard: 'g1', count: 'c1' }, { burst: 8 });
    expect(await generations.plan(desired)).toMatchObject({ restart: true, publishes: false });
    await expect(generations.apply(desired)).rejects.toMatchObject({
      code: 'WIRELET_E_RESTART_NEEDED',
      message: 'burst: 64 → 8',
    });
    expect(native.specs).toEqual([]);
  });

  it('a refused swap leaves everything as it was', async () => {
    native.onSwap = () => {
      throw new Error('WIRELET_E_LOAD_TRAP: guard: onLoad trapped');
    };
    const refused = generations.apply(deployment({ guard: 'g2', count: 'c1' }));
    await expect(refused).rejects.toMatchObject({ code: 'WIRELET_E_LOAD_TRAP' });
    expect(generations.running.generation).toBe(1);
    expect(moduleOf('guard')).toBe('g1');
    expect(changes).toEqual([]);
  });

  it('a swap that timed out was published all the same', async () => {
    native.onSwap = () => {
      native.advance();
      throw new Error('WIRELET_E_SWAP_TIMEOUT: lcore 0');
    };
    const late = generations.apply(deployment({ guard: 'g2', count: 'c1' }));
    await expect(late).rejects.toMatchObject({ code: 'WIRELET_E_SWAP_TIMEOUT' });
    expect(generations.running.generation).toBe(2);
    expect(moduleOf('guard')).toBe('g2');
    expect(changes).toMatchObject([{ from: 1, to: 2, reason: 'lcore 0' }]);
  });

  it('calls wait for each other, and each starts from what the one before left', async () => {
    let inside = 0;
    native.onSwap = async () => {
      expect(++inside).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside--;
    };
    const replace = (name: string, bytes: string) =>
      generations.replace([name], (running) => ({
        ...running,
        programs: new Map(running.programs).set(name, loadedProgram(bytes)),
      }));
    await Promise.all([replace('guard', 'g2'), replace('count', 'c2'), replace('guard', 'g3')]);
    expect(generations.running.generation).toBe(4);
    expect([moduleOf('guard'), moduleOf('count')]).toEqual(['g3', 'c2']);
    expect(changes.map(({ from, to }) => [from, to])).toEqual([
      [1, 2],
      [2, 3],
      [3, 4],
    ]);
  });

  it('a failed call does not hold up the next', async () => {
    native.onSwap = () => {
      native.onSwap = () => {};
      throw new Error('WIRELET_E_LOAD_TRAP: once');
    };
    const first = generations.apply(deployment({ guard: 'g2', count: 'c1' }));
    const second = generations.apply(deployment({ guard: 'g3', count: 'c1' }));
    await expect(first).rejects.toThrow('once');
    expect((await second).change).toMatchObject({ from: 1, to: 2 });
  });
});

describe('going back', () => {
  beforeEach(async () => {
    await generations.apply(deployment({ guard: 'g2', count: 'c1', meter: 'm1' }));
  });

  it('by hand brings the config and the modules of before', async () => {
    const change = await generations.rollback();
    expect(change).toMatchObject({
      kind: 'rollback',
      from: 2,
      to: 3,
      programs: ['guard', 'meter'],
    });
    expect(moduleOf('guard')).toBe('g1');
    expect(generations.running.config.programs.map(({ name }) => name)).toEqual(['guard', 'count']);
  });

  it('by itself is believed when the engine says so', () => {
    generations.onEvent(
      nativeEvent({ kind: 'rollback', name: 'guard', message: 'faulted 3 times', generation: 3 }),
    );
    expect(moduleOf('guard')).toBe('g1');
    expect(changes.at(-1)).toMatchObject({
      kind: 'rollback',
      from: 2,
      to: 3,
      automatic: true,
      reason: 'guard: faulted 3 times',
    });
    expect(changes.at(-1)?.loss).toBeUndefined();
  });

  it('that the engine could not is an error', () => {
    generations.onEvent(
      nativeEvent({ kind: 'rollback', name: 'guard', message: 'x', generation: 0 }),
    );
    expect(errors).toMatchObject([{ code: 'WIRELET_E_ROLLBACK' }]);
    expect(generations.running.generation).toBe(2);
  });

  it('by itself just before a swap: what the swap kept is what was there then', async () => {
    native.onSwap = () => {
      const generation = native.advance();
      native.queue.push(nativeEvent({ kind: 'rollback', name: 'guard', generation }));
    };
    await generations.replace(['count'], (running) => ({
      ...running,
      programs: new Map(running.programs).set('count', loadedProgram('c2')),
    }));
    expect(changes.map(({ kind, to }) => [kind, to])).toEqual([
      ['swap', 2],
      ['rollback', 3],
      ['swap', 4],
    ]);
    expect([moduleOf('guard'), moduleOf('count')]).toEqual(['g1', 'c2']);
  });

  it('by itself just after a swap is not taken for something before it', async () => {
    native.onSwap = () => {
      native.queue.push(nativeEvent({ kind: 'rollback', name: 'guard', generation: 4 }));
    };
    await generations.apply(deployment({ guard: 'g3', count: 'c1' }));
    expect(generations.running.generation).toBe(4);
    expect(moduleOf('guard')).toBe('g2');
    expect(changes.map(({ kind, to }) => [kind, to])).toEqual([
      ['swap', 2],
      ['swap', 3],
      ['rollback', 4],
    ]);
  });

  it('by itself while the counters of a swap are awaited is announced after it', async () => {
    // An lcore whose counters do not show the swap yet.
    native.page.lcore(0, LCORE_BLOCK_GENERATION, 2);
    const applied = generations.apply(deployment({ guard: 'g3', count: 'c1' }));
    await expect.poll(() => generations.running.generation).toBe(3);
    generations.onEvent(nativeEvent({ kind: 'rollback', name: 'guard', generation: 4 }));
    expect(moduleOf('guard')).toBe('g2');
    native.page.lcore(0, LCORE_BLOCK_GENERATION, 4);
    expect((await applied).change).toMatchObject({ kind: 'swap', from: 2, to: 3 });
    expect(changes.map(({ to }) => to)).toEqual([2, 3, 4]);
  });
});

describe('the module of a fault', () => {
  it('is that of the generation that faulted', async () => {
    for (const bytes of ['g2', 'g3'])
      await generations.apply(deployment({ guard: bytes, count: 'c1' }));
    expect([1, 2, 3].map((generation) => moduleOf('guard', generation))).toEqual([
      'g1',
      'g2',
      'g3',
    ]);
  });

  it('is the new one while its swap is not over yet', async () => {
    native.onSwap = () => {
      expect(moduleOf('guard', 1)).toBe('g1');
      expect(moduleOf('guard', 2)).toBe('g2');
    };
    await generations.apply(deployment({ guard: 'g2', count: 'c1' }));
  });

  it('is forgotten after many generations', async () => {
    for (let number = 2; number < 40; number++) {
      await generations.apply(deployment({ guard: `g${number}`, count: 'c1' }));
    }
    expect(moduleOf('guard')).toBe('g39');
    expect(moduleOf('guard', 30)).toBe('g30');
    expect(moduleOf('guard', 2)).toBe('g24');
  });
});
