import { arp, ethernet, ipv4, ipv6, udp, vlan } from 'wirelet/test/layers';
import { type Case, drop, pass } from '../../testing/cases.js';

const four = (source: string): Uint8Array =>
  ethernet({ payload: ipv4({ source, payload: udp() }) });
const six = (source: string): Uint8Array => ethernet({ payload: ipv6({ source, payload: udp() }) });
/** So slow that nothing comes back while a case runs. */
const once = { packetsPerSecond: 1, burst: 1 };
const ONE = '10.0.0.1';

/** What the clock decides is in ratelimit.test.ts. */
export const cases: Case[] = [
  {
    name: 'each-source-has-a-bucket-of-its-own',
    settings: once,
    steps: [
      pass(four(ONE)),
      drop(four(ONE)),
      pass(four('10.0.0.2')),
      pass(six('2001:db8::1')),
      drop(six('2001:db8::2')),
      pass(six('2001:db8:0:1::1')),
      drop(ethernet({ payload: vlan({ payload: ipv4({ source: ONE, payload: udp() }) }) })),
    ],
    counters: { passed: 4, limited: 3, other: 0 },
  },
  {
    name: 'prefixes-say-what-a-source-is',
    settings: { ...once, prefix4: 24, prefix6: 127 },
    steps: [
      pass(four('10.0.0.1')),
      drop(four('10.0.0.255')),
      pass(four('10.0.1.1')),
      pass(six('2001:db8::2')),
      drop(six('2001:db8::3')),
      pass(six('2001:db8::4')),
    ],
    counters: { passed: 4, limited: 2, other: 0 },
  },
  {
    name: 'a-prefix-of-0-is-everybody',
    settings: { ...once, prefix4: 0, prefix6: 0 },
    steps: [pass(four(ONE)), drop(four('192.0.2.1')), pass(six('::1')), drop(six('ff00::1'))],
    counters: { passed: 2, limited: 2, other: 0 },
  },
  {
    name: 'bits-are-those-of-the-packet',
    settings: { bitsPerSecond: 8, burst: 150 },
    steps: [pass(four(ONE)), pass(four(ONE)), drop(four(ONE)), pass(four('10.0.0.2'))],
    counters: { passed: 3, limited: 1, other: 0 },
  },
  {
    name: 'what-is-no-ip-passes',
    settings: once,
    steps: [
      pass(ethernet({ payload: arp() })),
      pass(ethernet({ payload: arp() })),
      pass(ethernet({ payload: ipv4({ payload: udp(), version: 5 }) })),
      pass(ethernet({ payload: ipv6({ payload: udp() }) }).slice(0, 50)),
    ],
    counters: { passed: 0, limited: 0, other: 4 },
  },
];
