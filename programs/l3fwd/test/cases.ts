import { arp, ethernet, ipv4, ipv6, udp, vlan } from 'wirelet/test/layers';
import { type Case, drop, pass } from '../../testing/cases.js';

const four = (fields: object = {}): Uint8Array =>
  ethernet({ payload: ipv4({ payload: udp(), ...fields }) });
const six = (fields: object = {}): Uint8Array =>
  ethernet({ payload: ipv6({ payload: udp(), ...fields }) });

/** Tables are empty here; what routes do is in l3fwd.test.ts. */
export const cases: Case[] = [
  {
    name: 'what-is-not-for-a-router-passes',
    steps: [
      pass(ethernet({ payload: arp() })),
      pass(ethernet({ payload: vlan({ payload: ipv4({ payload: udp() }) }) })),
      pass(four({ destination: '224.0.0.5' })),
      pass(four({ destination: '255.255.255.255' })),
      pass(four({ destination: '127.0.0.1' })),
      pass(six({ destination: 'ff02::1' })),
      pass(six({ destination: 'fe80::1' })),
      pass(six({ source: 'fe80::1' })),
      pass(six({ destination: '::1' })),
    ],
    counters: { forwarded: 0, no_route: 0, expired: 0, malformed: 0 },
  },
  {
    name: 'without-a-route-nothing-leaves',
    steps: [drop(four()), drop(six())],
    counters: { forwarded: 0, no_route: 2, expired: 0, malformed: 0 },
  },
  {
    name: 'a-kernel-can-be-asked-to-answer',
    settings: { punt: true },
    steps: [
      { in: four(), out: 'punt' },
      { in: six(), out: 'punt' },
    ],
    counters: { forwarded: 0, no_route: 2, expired: 0, malformed: 0 },
  },
  {
    name: 'what-is-malformed-is-dropped',
    settings: { punt: true },
    steps: [
      drop(four({ checksum: 1 })),
      drop(four({ version: 5 })),
      drop(four({ source: '127.0.0.1' })),
      drop(four().slice(0, 33)),
      drop(six().slice(0, 53)),
      drop(six({ source: 'ff02::1' })),
    ],
    counters: { forwarded: 0, no_route: 0, expired: 0, malformed: 6 },
  },
];
