import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WireletError } from '../src/error.js';
import { Heartbeat } from '../src/service/heartbeat.js';
import { type ServiceState, stateText, watchdogMs } from '../src/service/notify.js';
import { Service, statusText } from '../src/service/service.js';
import type { Stats } from '../src/stats/stats.js';

/** As much of an appliance's statistics as a service looks at. */
function someStats(rounds: number[], rx = 0, elapsedMs = 1000, link: 'up' | 'down' = 'up'): Stats {
  const lcores = rounds.map((count) => ({ rounds: count, state: 'running' }));
  const ports = { wan: { rx, tx: rx, dropped: 0, link } };
  return { elapsedMs, lcores, ports, programs: {} } as unknown as Stats;
}

describe('what a service manager is told', () => {
  it('is a line for each, whatever a value says', () => {
    expect(stateText({ READY: 1, STATUS: 'one\nWATCHDOG=1\r\ntwo' })).toBe(
      'READY=1\nSTATUS=one WATCHDOG=1 two',
    );
  });

  it.each([
    [{ WATCHDOG_USEC: '10000000' }, 10_000],
    [{ WATCHDOG_USEC: '10000000', WATCHDOG_PID: '7' }, 10_000],
    [{ WATCHDOG_USEC: '10000000', WATCHDOG_PID: '8' }, undefined],
    [{ WATCHDOG_USEC: '0' }, undefined],
    [{ WATCHDOG_USEC: 'often' }, undefined],
    [{}, undefined],
  ])('%j asks for a sign of life every %s ms', (env, expected) => {
    expect(watchdogMs(env, 7)).toBe(expected);
  });

  it('has rates since the last time, and links that are down', () => {
    const before = someStats([1], 1000, 1000);
    expect(statusText(before, undefined, 1)).toBe(
      'generation 1, 1.00k packets/s in, 1.00k out, 0 dropped',
    );
    expect(statusText(someStats([1], 1500, 3000, 'down'), before, 2)).toBe(
      'generation 2, 250 packets/s in, 250 out, 0 dropped; link down: wan',
    );
  });
});

it('a heart beats when every lcore has gone on', () => {
  const heartbeat = new Heartbeat();
  expect(heartbeat.beats([0, 5])).toBe(false);
  expect(heartbeat.beats([1, 6])).toBe(true);
  expect(heartbeat.beats([2, 6])).toBe(false);
  expect(heartbeat.beats([2, 6])).toBe(false);
  expect(heartbeat.beats([3, 7])).toBe(true);
});

describe('a service', () => {
  let told: ServiceState[];
  let rounds: number[];
  let failures: unknown[];
  let reload: () => Promise<unknown>;
  let service: Service;
  const names = () => told.splice(0).map((state) => Object.keys(state).join(' '));

  beforeEach(() => {
    vi.useFakeTimers();
    [told, rounds, failures] = [[], [0, 0], []];
    reload = async () => {};
    const appliance = { stats: () => someStats(rounds), generation: 1 };
    service = new Service(appliance, {
      notify: (state) => told.push(state),
      watchdogMs: 1000,
      reload: () => reload(),
      failed: (thrown) => failures.push(thrown),
    });
  });
  afterEach(() => {
    service.stopping();
    vi.useRealTimers();
  });

  it('is ready when every lcore has made a round, and not before', () => {
    rounds = [9, 0];
    vi.advanceTimersByTime(500);
    expect(names()).toEqual([]);
    rounds = [10, 1];
    vi.advanceTimersByTime(20);
    expect(names()).toEqual(['READY STATUS WATCHDOG']);
  });

  it('lives as long as all lcores do', () => {
    rounds = [1, 1];
    vi.advanceTimersByTime(20);
    rounds = [2, 2];
    vi.advanceTimersByTime(250);
    expect(names()).toEqual(['READY STATUS WATCHDOG', 'STATUS WATCHDOG']);
    rounds = [3, 2];
    vi.advanceTimersByTime(2000);
    expect(new Set(names())).toEqual(new Set(['STATUS']));
  });

  it('tells of a reload, and of one that failed', async () => {
    rounds = [1, 1];
    vi.advanceTimersByTime(20);
    told.length = 0;
    await service.reload();
    expect(names()).toEqual(['RELOADING MONOTONIC_USEC', 'READY STATUS']);
    reload = () => Promise.reject(new WireletError('WIRELET_E_CONFIG_INVALID', 'ports: none'));
    await service.reload();
    expect(failures).toHaveLength(1);
    expect(told.at(-1)?.STATUS).toContain('not applied: WIRELET_E_CONFIG_INVALID: ports: none');
    reload = async () => {};
    await service.reload();
    expect(told.at(-1)?.STATUS).not.toContain('not applied');
  });

  it('reloads one after the other', async () => {
    const order: string[] = [];
    reload = async () => {
      order.push('begins');
      await Promise.resolve();
      order.push('ends');
    };
    await Promise.all([service.reload(), service.reload()]);
    expect(order).toEqual(['begins', 'ends', 'begins', 'ends']);
  });

  it('says that it stops, and then nothing more', () => {
    rounds = [1, 1];
    vi.advanceTimersByTime(20);
    told.length = 0;
    service.stopping();
    vi.advanceTimersByTime(5000);
    expect(names()).toEqual(['STOPPING STATUS WATCHDOG']);
  });
});
