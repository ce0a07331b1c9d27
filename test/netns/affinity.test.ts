/**
 * The firewall on two lcores, between real peers: right whatever queue a packet comes in by, as
 * long as it may ask for affinity. Needs root, iproute2 and ping; without them it is skipped, and
 * says why.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RunningAppliance } from './appliance.js';
import { Namespace, obstacle } from './namespace.js';

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const reason = obstacle('ping');
/** Of the right side: enough that both lcores have some. */
const HOSTS = Array.from({ length: 8 }, (_, host) => `10.9.0.${100 + host}`);
const PINGS = 5;
const TRANSFER_BYTES = 2_000_000;
const options = { timeout: 180_000 };

const title = `the firewall on two lcores${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined)(title, options, () => {
  let left: Namespace;
  let middle: Namespace;
  let right: Namespace;
  let appliance: RunningAppliance | undefined;

  beforeEach(async () => {
    [left, middle, right] = [
      await Namespace.create(),
      await Namespace.create(),
      await Namespace.create(),
    ];
    left.veth('left', middle, 'one');
    right.veth('right', middle, 'two');
    left.ip('addr add 10.9.0.1/24 dev left');
    for (const host of HOSTS) right.ip(`addr add ${host}/24 dev right`);
  });
  afterEach(() => {
    appliance?.kill();
    for (const namespace of [left, middle, right]) namespace.close();
  });

  /** Lets the left side begin, and only that. */
  async function start(fanout: string, affinity?: string): Promise<RunningAppliance> {
    const port = (name: string) => ({ device: `af_packet:${name}?fanout=${fanout}`, queues: 2 });
    appliance = await RunningAppliance.start(middle, {
      lcores: 2,
      ports: { one: port('one'), two: port('two') },
      forward: { one: 'two', two: 'one' },
      programs: {
        firewall: {
          source: path('../../programs/firewall'),
          settings: { rules: ['allow any in 0'] },
          ...(affinity === undefined ? {} : { affinity }),
        },
      },
    });
    return appliance;
  }

  /** Answers of each host; without -w ping would give up after two round trips. */
  function answers(bytes: number): number[] {
    const flags = ['-c', PINGS, '-i', '0.02', '-w', 10, '-s', bytes].map(String).join(' ');
    return HOSTS.map((host) => {
      const text = left.run('sh', '-c', `ping ${flags} ${host} || true`);
      return Math.min(PINGS, Number(/(\d+) received/.exec(text)?.[1]));
    });
  }

  const all = HOSTS.map(() => PINGS);

  test('fragments and connections pass on both', async () => {
    // All come in by the one queue of the interface, in order; half of them are the other lcore's.
    const running = await start('qm');
    expect(answers(4000)).toEqual(all);
    for (const host of HOSTS.slice(0, 3)) expect(transfer(left, right, host)).toBe('equal');
    const { stats, counters, conservation } = await running.stop();
    expect(conservation.exact).toBe(true);
    expect(stats.framesUsed).toBe(0);
    expect(stats.ports.one?.steered).toBeGreaterThan(100);
    expect(stats.ports.two?.steered).toBeGreaterThan(100);
    expect(counters).toMatchObject({ 'firewall/orphans': 0, 'firewall/stray': 0 });
    expect(counters['firewall/fragments']).toBeGreaterThan(2 * PINGS * HOSTS.length);
  });

  test('what an interface deals out in turns is right by affinity, and only by it', async () => {
    // Answers that come to the lcore that did not see the question are of no flow there.
    const apart = await start('lb', 'none');
    answers(56);
    // Both sides deal in turns, and may happen to be in step: one packet more on one of them, which
    // the firewall refuses, and they are not.
    right.run('sh', '-c', 'ping -c 1 -W 1 10.9.0.1 || true');
    answers(56);
    const { counters: counted } = await apart.stop();
    expect(counted['firewall/stray']).toBeGreaterThan(0);
    const running = await start('lb');
    expect(answers(56)).toEqual(all);
    expect(transfer(left, right, HOSTS[0] ?? '')).toBe('equal');
    const { conservation, counters } = await running.stop();
    expect(conservation.exact).toBe(true);
    expect(counters['firewall/stray']).toBe(0);
  });
});

/** Sends bytes both ways over TCP and says whether both arrived as they were sent. */
function transfer(client: Namespace, server: Namespace, address: string): string {
  const args = [process.execPath, path('transfer.js'), address, String(TRANSFER_BYTES)];
  const [file, words] = server.inside([...args, 'server']);
  const [clientFile, clientWords] = client.inside([...args, 'client']);
  const both = `${[file, ...words].join(' ')} & ${[clientFile, ...clientWords].join(' ')}; wait`;
  return execFileSync('sh', ['-c', both], { encoding: 'utf8', timeout: 60_000 }).trim();
}
