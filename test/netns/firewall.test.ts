/**
 * Two hosts with the firewall between them, on one lcore and on two: what the inside begins works
 * both ways, nothing else does. Needs root, iproute2, util-linux and ping; without them it is
 * skipped, and says why.
 */
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RunningAppliance } from './appliance.js';
import { Namespace, obstacle } from './namespace.js';

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
const reason = obstacle('ping');
const TRANSFER_BYTES = 5_000_000;
const INSIDE = { 4: '10.9.0.1', 6: 'fd09::1' } as const;
const OUTSIDE = { 4: '10.9.0.2', 6: 'fd09::2' } as const;

const title = `a firewall between two hosts${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined).each([1, 2])(
  `${title}, lcores: %i`,
  { timeout: 180_000 },
  (lcores) => {
    let inside: Namespace;
    let middle: Namespace;
    let outside: Namespace;
    let appliance: RunningAppliance;

    beforeEach(async () => {
      [inside, middle, outside] = (await Promise.all([1, 2, 3].map(() => Namespace.create()))) as [
        Namespace,
        Namespace,
        Namespace,
      ];
      inside.veth('eth', middle, 'lan');
      outside.veth('eth', middle, 'wan');
      for (const [namespace, addresses] of [
        [inside, INSIDE],
        [outside, OUTSIDE],
      ] as const) {
        namespace.ip(`addr add ${addresses[4]}/24 dev eth`);
        namespace.ip(`addr add ${addresses[6]}/64 dev eth nodad`);
        // Each answers as often as it is asked.
        namespace.run('sh', '-c', 'echo 0 > /proc/sys/net/ipv4/icmp_ratelimit');
      }
      const port = (name: string) => ({ device: `af_packet:${name}`, queues: lcores });
      appliance = await RunningAppliance.start(middle, {
        lcores,
        ports: { lan: port('lan'), wan: port('wan') },
        forward: { lan: 'wan', wan: 'lan' },
        programs: {
          firewall: {
            source: path('../../programs/firewall'),
            settings: { rules: ['allow any in 0'] },
          },
        },
        pipeline: ['firewall'],
      });
    });
    afterEach(() => {
      appliance?.kill();
      for (const namespace of [inside, middle, outside]) namespace.close();
    });

    /** Answers of `count` pings with so many bytes, in so many seconds at most. */
    function ping(
      from: Namespace,
      to: string,
      count: number,
      bytes: number,
      seconds: number,
    ): number {
      const flags = `-c ${count} -i 0.05 -w ${seconds} -s ${bytes}`;
      const text = from.run('sh', '-c', `ping ${flags} ${to} || true`);
      return Number(/(\d+) received/.exec(text)?.[1] ?? 0);
    }

    test('what the inside begins works, whole and in fragments', async () => {
      for (const version of [4, 6] as const) {
        for (const bytes of [56, 1400, 4000]) {
          expect([version, bytes, ping(inside, OUTSIDE[version], 10, bytes, 20)]).toEqual([
            version,
            bytes,
            10,
          ]);
        }
        expect(transfer(inside, outside, OUTSIDE[version])).toBe('equal');
        // The error comes back to who asked.
        expect(datagram(inside, OUTSIDE[version])).toBe('ECONNREFUSED');
      }
      const { conservation, counters, errors, stats } = await appliance.stop();
      expect({ conservation, errors }).toMatchObject({ conservation: { exact: true }, errors: [] });
      expect(stats.framesUsed).toBe(0);
      expect(counters['firewall/related']).toBe(2);
      expect(counters).toMatchObject({ 'firewall/stray': 0, 'firewall/orphans': 0 });
      expect(counters['firewall/fragments']).toBeGreaterThanOrEqual(2 * 2 * 2 * 10);
    });

    test('what the outside begins does not', async () => {
      for (const version of [4, 6] as const) {
        expect(ping(outside, INSIDE[version], 3, 56, 1)).toBe(0);
        expect(ping(outside, INSIDE[version], 3, 4000, 1)).toBe(0);
        expect(datagram(outside, INSIDE[version])).toBe('silence');
      }
      const { conservation, counters } = await appliance.stop();
      expect(conservation.exact).toBe(true);
      expect(counters).toMatchObject({ 'firewall/opened': 0, 'firewall/established': 0 });
      expect(counters['firewall/unmatched']).toBeGreaterThanOrEqual(14);
    });
  },
);

/** What becomes of a datagram to a port where nobody listens. */
function datagram(from: Namespace, to: string): string {
  return from.run(process.execPath, path('datagram.js'), to).trim();
}

/** Sends bytes both ways over TCP and says whether both arrived as they were sent. */
function transfer(client: Namespace, server: Namespace, address: string): string {
  const args = [process.execPath, path('transfer.js'), address, String(TRANSFER_BYTES)];
  const words = ([file, rest]: [string, string[]]): string => [file, ...rest].join(' ');
  const serving = words(server.inside([...args, 'server']));
  const asking = words(client.inside([...args, 'client']));
  return client.run('sh', '-c', `${serving} & ${asking}; wait`).trim();
}
