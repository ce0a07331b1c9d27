import { arp, ethernet, ipv4, udp, vlan } from 'wirelet/test/layers';
import { answer, type Case, drop, type Step } from '../../testing/cases.js';

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const none = {
  forwarded: 0,
  flooded: 0,
  filtered: 0,
  reserved: 0,
  invalid: 0,
  learned: 0,
  moved: 0,
};

const frame = (source: string, destination: string): Uint8Array =>
  ethernet({ source, destination, payload: ipv4({ payload: udp() }) });
const flood = (packet: Uint8Array): Step => answer(packet, packet);

/** All of it comes in by one port, so nothing is ever forwarded: l2fwd.test.ts has more ports. */
export const cases: Case[] = [
  {
    name: 'groups-and-unknown-stations-are-flooded',
    steps: [
      flood(ethernet({ source: A, destination: BROADCAST, payload: arp() })),
      flood(frame(A, '01:00:5e:00:00:fb')),
      flood(frame(A, '33:33:00:00:00:01')),
      flood(frame(A, B)),
      flood(ethernet({ source: A, destination: B, payload: vlan({ payload: arp() }) })),
    ],
    counters: { ...none, flooded: 5, learned: 1 },
  },
  {
    name: 'stations-on-the-port-of-arrival-are-filtered',
    steps: [flood(frame(A, B)), drop(frame(B, A)), drop(frame(A, B)), drop(frame(A, A))],
    counters: { ...none, flooded: 1, filtered: 3, learned: 2 },
  },
  {
    name: 'reserved-addresses-are-not-relayed',
    steps: [
      drop(frame(A, '01:80:c2:00:00:00')),
      drop(frame(A, '01:80:c2:00:00:0f')),
      flood(frame(A, '01:80:c2:00:00:10')),
      flood(frame(B, '01:80:c1:ff:ff:ff')),
    ],
    counters: { ...none, reserved: 2, flooded: 2, learned: 2 },
  },
  {
    name: 'nobody-sends-from-a-group',
    steps: [
      drop(frame('01:00:5e:00:00:01', B)),
      drop(frame(BROADCAST, B)),
      drop(frame('00:00:00:00:00:00', B)),
      flood(frame(B, '00:00:00:00:00:00')),
    ],
    counters: { ...none, invalid: 3, flooded: 1, learned: 1 },
  },
];
