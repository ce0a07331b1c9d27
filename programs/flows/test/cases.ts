import {
  arp,
  ethernet,
  icmp,
  ipv4,
  ipv6,
  type Layer,
  raw,
  tcp,
  udp,
  vlan,
} from 'wirelet/test/layers';
import { type Case, pass } from '../../testing/cases.js';

const carrying = (payload: Layer): Uint8Array => ethernet({ payload, pad: 0 });
const flow = (last: number): Uint8Array =>
  carrying(ipv4({ source: `10.0.0.${last}`, payload: udp() }));

export const cases: Case[] = [
  {
    name: 'all-of-ipv4-is-counted',
    steps: [
      carrying(ipv4({ payload: tcp() })),
      carrying(ipv4({ payload: udp() })),
      carrying(ipv4({ payload: icmp() })),
      carrying(vlan({ payload: ipv4({ payload: udp() }) })),
      carrying(ipv4({ payload: raw(new Uint8Array(16), 17), fragmentOffset: 8 })),
      carrying(ipv4({ payload: raw(new Uint8Array(3), 17) })),
    ].map(pass),
    counters: { counted: 6, full: 0, other: 0 },
  },
  {
    name: 'what-is-no-ipv4-is-other',
    steps: [
      carrying(arp()),
      carrying(ipv6({ payload: udp() })),
      carrying(ipv4({ payload: udp() })).slice(0, 33),
      carrying(ipv4({ payload: udp() })).slice(0, 41),
      carrying(ipv4({ payload: udp(), version: 6 })),
    ].map(pass),
    counters: { counted: 0, full: 0, other: 5 },
  },
  {
    name: 'a-full-table-takes-no-new-flow',
    settings: { capacity: 3 },
    steps: [1, 2, 3, 4, 1, 5, 3].map(flow).map(pass),
    counters: { counted: 5, full: 2, other: 0 },
  },
  {
    name: 'the-oldest-makes-room',
    settings: { capacity: 3, replaceOldest: true },
    steps: Array.from({ length: 40 }, (_, i) => flow(i % 20)).map(pass),
    counters: { counted: 40, full: 0, other: 0 },
  },
];
