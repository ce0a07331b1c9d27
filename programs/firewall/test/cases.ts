import {
  arp,
  EXTENSION,
  ethernet,
  extension,
  fragment,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  type Layer,
  raw,
  tcp,
  udp,
  vlan,
} from 'wirelet/test/layers';
import { type Case, drop, pass } from '../../testing/cases.js';

const INSIDE = '10.0.0.1';
const OUTSIDE = '192.0.2.9';
const INSIDE6 = '2001:db8::1';
const OUTSIDE6 = '2001:db8:9::9';
const none = {
  established: 0,
  opened: 0,
  related: 0,
  stateless: 0,
  neighbours: 0,
  fragments: 0,
  other: 0,
  denied: 0,
  unmatched: 0,
  stray: 0,
  invalid: 0,
  malformed: 0,
  orphans: 0,
};
const [SYN, ACK, FIN, RST] = [2, 16, 1, 4];

/** From the inside out, and back. */
const out = (payload: Layer): Uint8Array =>
  ethernet({ payload: ipv4({ source: INSIDE, destination: OUTSIDE, payload }) });
const back = (payload: Layer): Uint8Array =>
  ethernet({ payload: ipv4({ source: OUTSIDE, destination: INSIDE, payload }) });
const out6 = (payload: Layer): Uint8Array =>
  ethernet({ payload: ipv6({ source: INSIDE6, destination: OUTSIDE6, payload }) });
const back6 = (payload: Layer): Uint8Array =>
  ethernet({ payload: ipv6({ source: OUTSIDE6, destination: INSIDE6, payload }) });
const asked = (flags: number): Layer => tcp({ sourcePort: 1000, destinationPort: 80, flags });
const answered = (flags: number): Layer => tcp({ sourcePort: 80, destinationPort: 1000, flags });
const question = udp({ sourcePort: 1000, destinationPort: 53 });
const answer = udp({ sourcePort: 53, destinationPort: 1000 });
/** An ICMP error about a packet: the beginning of its IP packet, behind 4 bytes of nothing. */
const about = (packet: Uint8Array, bytes: number): Uint8Array => packet.slice(14, 14 + bytes);
const error = (type: number, packet: Uint8Array): Layer =>
  icmp({ type, identifier: 0, sequence: 0, payload: about(packet, 28) });
const error6 = (type: number, packet: Uint8Array): Layer =>
  icmpv6({ type, identifier: 0, sequence: 0, payload: about(packet, 48) });

/** What takes time, several ports, or many packets is in firewall.test.ts. */
export const cases: Case[] = [
  {
    name: 'tcp-from-the-first-segment-to-the-last',
    settings: { rules: [`allow tcp from ${INSIDE} to any port 80`] },
    steps: [
      drop(back(answered(SYN))),
      drop(out(asked(ACK))),
      drop(out(asked(SYN | ACK))),
      drop(out(asked(FIN | ACK))),
      drop(out(asked(RST))),
      pass(out(asked(SYN))),
      pass(out(asked(SYN))),
      drop(out(asked(ACK))),
      pass(back(answered(SYN | ACK))),
      pass(out(asked(ACK))),
      pass(back(answered(ACK))),
      drop(back(answered(SYN))),
      pass(out(asked(FIN | ACK))),
      pass(back(answered(ACK))),
      pass(back(answered(FIN | ACK))),
      pass(out(asked(ACK))),
      drop(back(answered(SYN))),
      pass(out(asked(SYN))),
    ],
    counters: { ...none, opened: 2, established: 8, stray: 4, unmatched: 2, invalid: 2 },
  },
  {
    name: 'flags-that-nobody-sends-are-invalid',
    settings: { policy: 'allow' },
    steps: [
      drop(out(asked(0))),
      drop(out(asked(SYN | FIN))),
      drop(out(asked(SYN | RST))),
      drop(out(asked(FIN))),
      drop(out(asked(63))),
      pass(out(asked(SYN | 0xc0))),
    ],
    counters: { ...none, invalid: 5, opened: 1 },
  },
  {
    name: 'a-refused-connection-leaves-nothing',
    settings: { policy: 'allow' },
    steps: [
      pass(out(asked(SYN))),
      pass(back(answered(RST | ACK))),
      drop(back(answered(RST | ACK))),
      drop(out(asked(ACK))),
    ],
    counters: { ...none, opened: 1, established: 1, stray: 2 },
  },
  {
    name: 'answers-pass-and-nothing-else',
    settings: { rules: ['allow udp to any port 53', 'allow icmp from 10.0.0.0/8'] },
    steps: [
      drop(back(answer)),
      pass(out(question)),
      pass(back(answer)),
      pass(out(question)),
      drop(back(udp({ sourcePort: 53, destinationPort: 1001 }))),
      drop(back(icmp({ type: 0 }))),
      pass(out(icmp())),
      pass(back(icmp({ type: 0 }))),
      drop(back(icmp({ type: 0, identifier: 2 }))),
      drop(back(icmp())),
      drop(back(icmp({ type: 5 }))),
      drop(out(raw(new Uint8Array(30), 47))),
    ],
    counters: { ...none, opened: 2, established: 3, stray: 2, unmatched: 4, invalid: 1 },
  },
  {
    name: 'errors-pass-when-they-are-about-a-flow',
    settings: { rules: ['allow udp to any port 53', 'allow udp to 2001:db8:9::/48'] },
    steps: [
      drop(back(error(3, out(question)))),
      pass(out(question)),
      pass(back(error(3, out(question)))),
      pass(back(error(11, out(question)))),
      drop(back(error(3, out(udp({ sourcePort: 1, destinationPort: 53 }))))),
      // Not to the one who sent it.
      drop(out(error(3, out(question)))),
      drop(back(error(4, out(question)))),
      pass(out6(question)),
      pass(back6(error6(2, out6(question)))),
      drop(back6(error6(1, out6(answer)))),
      drop(back(icmp({ type: 3, payload: about(out(question), 27) }))),
      drop(back(icmp({ type: 3, payload: about(out(question), 19) }))),
    ],
    counters: { ...none, opened: 2, related: 3, stray: 6, invalid: 1 },
  },
  {
    name: 'the-first-rule-that-holds-decides',
    settings: {
      policy: 'allow',
      rules: [
        'allow tcp from 10.0.0.1/32 to 192.0.2.0/24 port 80-81',
        'deny tcp to any port 79-82',
        'deny in 1 from any to any',
        'deny udp from any port 7 to any',
        'deny protocol 47',
        'deny to 2001:db8:9::/48',
      ],
    },
    steps: [
      pass(out(asked(SYN))),
      drop(out(tcp({ sourcePort: 1, destinationPort: 82 }))),
      pass(out(tcp({ sourcePort: 1, destinationPort: 83 }))),
      pass(out(tcp({ sourcePort: 1, destinationPort: 78 }))),
      drop(back(tcp({ sourcePort: 1, destinationPort: 80 }))),
      drop(out(udp({ sourcePort: 7, destinationPort: 7 }))),
      drop(out(raw(new Uint8Array(20), 47))),
      drop(out6(raw(new Uint8Array(20), 47))),
      drop(out6(question)),
      pass(back6(question)),
    ],
    counters: { ...none, opened: 4, denied: 6 },
  },
  {
    name: 'fragments-go-the-way-of-the-first',
    settings: { rules: ['allow udp to any port 53'] },
    steps: [
      drop(part(8, true, new Uint8Array(16))),
      pass(part(0, true, udpPart(53))),
      pass(part(24, true, new Uint8Array(16))),
      pass(part(40, false, new Uint8Array(5))),
      // Into the first one.
      drop(part(16, false, new Uint8Array(16))),
      drop(part(0, true, udpPart(54))),
      drop(part(24, false, new Uint8Array(16))),
      // A packet of its own.
      drop(part(24, false, new Uint8Array(16), 2)),
      drop(part(0, true, new Uint8Array(7), 3)),
      drop(out6(fragment(raw(new Uint8Array(8), 17), 24, false))),
      pass(out6(fragment(raw(udpPart(53), 17), 0, true))),
      pass(out6(fragment(raw(new Uint8Array(8), 17), 24, false))),
      drop(out6(fragment(raw(new Uint8Array(8), 17), 16, false))),
      pass(out6(extension(EXTENSION.hopByHop, fragment(raw(udpPart(53), 17), 0, true)))),
    ],
    counters: {
      ...none,
      opened: 2,
      established: 1,
      fragments: 3,
      orphans: 6,
      unmatched: 1,
      malformed: 1,
    },
  },
  {
    name: 'neighbours-pass-other-protocols-do-not',
    steps: [
      pass(ethernet({ payload: arp() })),
      pass(hop6(255, icmpv6({ type: 135 }))),
      drop(hop6(254, icmpv6({ type: 135 }))),
      drop(hop6(255, icmpv6({ type: 137 }))),
      drop(hop6(255, icmpv6({ type: 143 }))),
      drop(ethernet({ type: 0x88cc })),
      drop(out(question)),
    ],
    counters: { ...none, neighbours: 2, invalid: 2, unmatched: 2, other: 1 },
  },
  {
    name: 'what-is-no-packet-is-malformed',
    settings: { policy: 'allow', passOther: true },
    steps: [
      pass(ethernet({ type: 0x88cc })),
      drop(ethernet({ payload: ipv4({ version: 6, payload: udp() }) })),
      drop(ethernet({ payload: ipv4({ totalLength: 2000, payload: udp() }) })),
      drop(ethernet({ payload: ipv4({ totalLength: 24, payload: tcp() }) })),
      drop(out(tcp({ headerLength: 16 }))),
      drop(out(udp({ length: 7 }))),
      drop(out(udp({ length: 9 }))),
      drop(out(raw(new Uint8Array(7), 1))),
      drop(ethernet({ payload: ipv6({ payloadLength: 2000, payload: udp() }) })),
      drop(out6(raw(new Uint8Array(4), 60))),
    ],
    counters: { ...none, other: 1, malformed: 9 },
  },
  {
    name: 'tags-options-and-extension-headers-are-looked-through',
    settings: { rules: ['allow udp to any port 53'] },
    steps: [
      pass(ethernet({ payload: vlan({ payload: ipv4({ payload: question }) }) })),
      pass(ethernet({ payload: ipv4({ options: new Uint8Array(8).fill(1), payload: question }) })),
      pass(out6(extension(EXTENSION.destination, question))),
      drop(out6(extension(EXTENSION.destination, answer))),
    ],
    counters: { ...none, opened: 2, established: 1, unmatched: 1 },
  },
];

/** The beginning of a datagram of 53 bytes to this port: 24 bytes. */
function udpPart(destinationPort: number): Uint8Array {
  const datagram = udp({ sourcePort: 1000, destinationPort, payload: new Uint8Array(45) });
  return datagram.bytes({ version: 4, addresses: new Uint8Array(8) }).slice(0, 24);
}

function part(offset: number, more: boolean, bytes: Uint8Array, identification = 1): Uint8Array {
  const place = { fragmentOffset: offset, moreFragments: more, identification };
  const payload = raw(bytes, 17);
  return ethernet({ payload: ipv4({ source: INSIDE, destination: OUTSIDE, ...place, payload }) });
}

function hop6(hopLimit: number, payload: Layer): Uint8Array {
  return ethernet({ payload: ipv6({ hopLimit, payload }) });
}
