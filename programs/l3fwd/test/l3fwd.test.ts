// Against a model that looks at every route; and what headers become.

import fc from 'fast-check';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { icmp, tcp, testProgram, udp } from 'wirelet/test';
import { ethernet, raw } from 'wirelet/test/layers';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const OURS = '02:00:00:00:0a:01';
const NEXT = ['02:00:00:00:0b:00', '02:00:00:00:0b:01', '02:00:00:00:0b:02', '02:00:00:00:0b:03'];
const hop = (port: number): string => `${port}, ${NEXT[port]}, ${OURS}`;
/** Groups 0 to 2 have one hop, group 3 has three. */
const hops = [hop(0), hop(1), hop(2), [hop(1), hop(2), hop(3)].join(' | ')];
const router = await testProgram('programs/l3fwd', { settings: { hops } });

beforeEach(() => router.reset());

const arp = ethernet({ type: 0x0806, payload: raw(new Uint8Array(46)) });
const addressOf = (number: number): string =>
  [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
const maskOf = (length: number): number => (length === 0 ? 0 : (-1 << (32 - length)) >>> 0);

/** Few bits differ, so that prefixes meet. */
const address = fc.integer({ min: 0, max: 4095 }).map((low) => (0x0a000000 | low) >>> 0);
const route = fc.record({
  address,
  length: fc.integer({ min: 18, max: 32 }),
  group: fc.integer({ min: 0, max: 2 }),
});

test('the longest prefix decides', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(route, {
        maxLength: 30,
        selector: ({ address, length }) => `${(address & maskOf(length)) >>> 0}/${length}`,
      }),
      fc.array(address, { minLength: 1, maxLength: 50 }),
      (routes, destinations) => {
        router.reset();
        for (const { address, length, group } of routes) {
          router
            .table('routes')
            .set(`${addressOf((address & maskOf(length)) >>> 0)}/${length}`, group);
        }
        const best = destinations.map(
          (destination) =>
            routes
              .filter(({ address, length }) => ((address ^ destination) & maskOf(length)) === 0)
              .sort((a, b) => b.length - a.length)[0],
        );
        // In one burst, with a packet between them that no route is asked for.
        const packets = destinations.map((to) => udp({ from: '192.0.2.1', to: addressOf(to) }));
        const outcomes = router.sendAll([arp, ...packets], { burst: 64 });
        expect(outcomes.map(({ verdict, egress }) => [verdict, egress])).toEqual([
          ['pass', 0],
          ...best.map((route) => (route ? ['redirect', route.group] : ['drop', 0])),
        ]);
      },
    ),
    { numRuns: 40 },
  );
});

describe.each([
  { version: 4, table: 'routes', prefix: '0.0.0.0/0', from: '192.0.2.1', to: '198.51.100.2' },
  { version: 6, table: 'routes6', prefix: '::/0', from: '2001:db8::1', to: '2001:db8:1::2' },
])('IPv$version', ({ table, prefix, from, to }) => {
  const at = (address: string, port: number): string =>
    address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

  test('the next station, our address, one hop less, a good checksum, and nothing else', () => {
    router.table(table).set(prefix, 1);
    const [before, after] = [tcp({ from, to, ttl: 64 }), tcp({ from, to, ttl: 63 })];
    const outcome = router.send(before);
    expect(outcome).toRedirect(1);
    const expected = Uint8Array.from(after);
    expected.set([2, 0, 0, 0, 0x0b, 1, 2, 0, 0, 0, 0x0a, 1]);
    expect(outcome.packet).toEqual(expected);
  });

  test('the last hop is dropped, or left to the kernel', async () => {
    router.table(table).set(prefix, 0);
    for (const ttl of [0, 1]) expect(router.send(udp({ from, to, ttl }))).toDrop();
    expect(router.send(udp({ from, to, ttl: 2 }))).toRedirect(0);
    expect(router.counters).toMatchObject({ expired: 2, forwarded: 1 });
    const asking = await testProgram('programs/l3fwd', { settings: { hops, punt: true } });
    asking.table(table).set(prefix, 0);
    expect(asking.send(udp({ from, to, ttl: 1 }))).toPunt();
  });

  test('an exact match comes before any prefix', () => {
    router.table(table).set(prefix, 0);
    const key = {
      ...(table === 'routes'
        ? { source: 0xc000_0201, destination: 0xc633_6402 }
        : {
            sourceHigh: 0x2001_0db8_0000_0000n,
            sourceLow: 1n,
            destinationHigh: 0x2001_0db8_0001_0000n,
            destinationLow: 2n,
          }),
      sourcePort: 1000,
      destinationPort: 53,
      protocol: 17,
    };
    router.table(table === 'routes' ? 'exact' : 'exact6').set(key, 2);
    expect(router.send(udp({ from: at(from, 1000), to: at(to, 53) }))).toRedirect(2);
    expect(router.send(udp({ from: at(from, 1000), to: at(to, 54) }))).toRedirect(0);
    expect(router.send(tcp({ from: at(from, 1000), to: at(to, 53) }))).toRedirect(0);
  });

  test('a flow keeps its hop, flows share the hops of a group', () => {
    router.table(table).set(prefix, 3);
    const ports = Array.from({ length: 600 }, (_, index) => 1024 + index);
    const used = new Map<number, number>();
    for (const port of ports) {
      const packets = [0, 1].map((n) =>
        udp({ from: at(from, port), to: at(to, 53), payload: `${n}` }),
      );
      const [first, second] = router.send(packets).map(({ egress }) => egress);
      expect(second).toBe(first);
      used.set(first ?? -1, (used.get(first ?? -1) ?? 0) + 1);
    }
    expect([...used.keys()].sort()).toEqual([1, 2, 3]);
    // 200 each on average; 11.5 is the standard deviation of a fair one.
    for (const count of used.values()) expect(Math.abs(count - 200)).toBeLessThan(60);
  });

  test('packets without ports go by their addresses', () => {
    router.table(table).set(prefix, 3);
    const pings = [1, 2, 3].map((sequence) => icmp({ from, to, sequence }));
    const egresses = new Set(router.send(pings).map(({ egress }) => egress));
    expect(egresses.size).toBe(1);
  });
});

test('a route to a group that is not there is none', () => {
  router.table('routes').set('0.0.0.0/0', 4);
  expect(router.send(udp())).toDrop();
  expect(router.counter('no_route')).toBe(1);
});

test.each(['1', 'x, 02:00:00:00:00:01, 02:00:00:00:00:02', '1, 02:00, 02:00:00:00:00:02', ''])(
  'the hop "%s" is refused, with its text',
  async (text) => {
    const load = testProgram('programs/l3fwd', { settings: { hops: [text] } });
    await expect(load).rejects.toThrow(/is no hop|is no number of a port|is not a MAC address/);
  },
);
