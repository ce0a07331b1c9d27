import { arp, ethernet, ipv4, ipv6, tcp, udp } from 'wirelet/test/layers';
import { type Case, drop } from '../../testing/cases.js';

export const cases: Case[] = [
  {
    name: 'everything',
    steps: [
      ethernet({ payload: arp() }),
      ethernet({ payload: ipv4({ payload: udp() }) }),
      ethernet({ payload: ipv6({ payload: tcp() }) }),
      ethernet({ pad: 14 }),
      ethernet({ pad: 1514 }),
    ].map(drop),
    counters: {},
  },
];
