import { arp, ethernet, icmp, ipv4, ipv6, raw, tcp, udp, vlan } from 'wirelet/test/layers';
import { answer, type Case, drop, pass, type Step } from '../../testing/cases.js';

const [A, B] = ['02:00:00:00:00:0a', '02:00:00:00:00:0b'];
const forth = { source: A, destination: B };
const back = { source: B, destination: A };
const four = { source: '10.0.0.1', destination: '192.0.2.99' };
const six = { source: '2001:db8::1', destination: '2001:db8:ffff::2' };
const turned = <T extends { source: string; destination: string }>(fields: T): T => ({
  ...fields,
  source: fields.destination,
  destination: fields.source,
});
const ports = { sourcePort: 1000, destinationPort: 443 };
const portsBack = { sourcePort: 443, destinationPort: 1000 };
const becomes = (before: Uint8Array, after: Uint8Array): Step => ({ in: before, out: after });

const plain = ethernet({ ...forth, payload: ipv4({ ...four, payload: udp(ports) }) });

const own = '02:00:00:00:00:88';
const asking = { senderMac: A, senderIp: '10.0.0.1', targetIp: '192.0.2.99' };
const answering = {
  operation: 2,
  senderMac: own,
  senderIp: '192.0.2.99',
  targetMac: A,
  targetIp: '10.0.0.1',
};
const ping = (fields: object): Uint8Array =>
  ethernet({ ...forth, payload: ipv4({ ...four, payload: icmp(), ...fields }) });

export const cases: Case[] = [
  { name: 'io-passes', settings: { mode: 'io' }, steps: [pass(plain)], counters: {} },
  { name: 'rxonly-drops', settings: { mode: 'rxonly' }, steps: [drop(plain)], counters: {} },
  {
    name: 'mac-sets-both-addresses',
    settings: { mode: 'mac', peer: '02:00:00:00:00:77', own: '02-00-00-00-00-88' },
    steps: [
      becomes(
        plain,
        ethernet({
          destination: '02:00:00:00:00:77',
          source: '02:00:00:00:00:88',
          payload: ipv4({ ...four, payload: udp(ports) }),
        }),
      ),
    ],
    counters: {},
  },
  {
    name: 'macswap-swaps-addresses',
    steps: [becomes(plain, ethernet({ ...back, payload: ipv4({ ...four, payload: udp(ports) }) }))],
    counters: {},
  },
  {
    name: 'csum-computes-checksums-anew',
    settings: { mode: 'csum' },
    steps: [
      becomes(
        ethernet({ payload: ipv4({ checksum: 1, payload: udp({ checksum: 2 }) }) }),
        ethernet({ payload: ipv4({ payload: udp() }) }),
      ),
      becomes(
        ethernet({ payload: vlan({ payload: ipv6({ payload: tcp({ checksum: 3 }) }) }) }),
        ethernet({ payload: vlan({ payload: ipv6({ payload: tcp() }) }) }),
      ),
      pass(ethernet({ payload: raw(Uint8Array.of(0x45)) })),
    ],
    counters: {},
  },
  {
    name: '5tswap-turns-a-flow-round',
    settings: { mode: '5tswap' },
    steps: [
      becomes(
        plain,
        ethernet({ ...back, payload: ipv4({ ...turned(four), payload: udp(portsBack) }) }),
      ),
      becomes(
        ethernet({ ...forth, payload: vlan({ payload: ipv6({ ...six, payload: tcp(ports) }) }) }),
        ethernet({
          ...back,
          payload: vlan({ payload: ipv6({ ...turned(six), payload: tcp(portsBack) }) }),
        }),
      ),
      becomes(
        ethernet({ ...forth, payload: ipv4({ ...four, protocol: 89 }) }),
        ethernet({ ...back, payload: ipv4({ ...turned(four), protocol: 89 }) }),
      ),
    ],
    counters: {},
  },
  {
    name: 'icmpecho-answers-everybody',
    settings: { mode: 'icmpecho', own },
    steps: [
      answer(
        ethernet({ source: A, destination: 'ff:ff:ff:ff:ff:ff', payload: arp(asking) }),
        ethernet({ source: own, destination: A, payload: arp(answering) }),
      ),
      answer(
        ping({}),
        ethernet({ ...back, payload: ipv4({ ...turned(four), payload: icmp({ type: 0 }) }) }),
      ),
      answer(
        ethernet({ ...forth, payload: vlan({ payload: ipv4({ ...four, payload: icmp() }) }) }),
        ethernet({
          ...back,
          payload: vlan({ payload: ipv4({ ...turned(four), payload: icmp({ type: 0 }) }) }),
        }),
      ),
      drop(ethernet({ ...forth, payload: arp(answering) })),
      drop(ping({ payload: icmp({ type: 0 }) })),
      drop(ping({ destination: '224.0.0.1' })),
      drop(ping({ source: '255.255.255.255' })),
      drop(ethernet({ ...forth, payload: arp({ ...asking, senderMac: '03:00:00:00:00:01' }) })),
      drop(ping({ fragmentOffset: 8 })),
      drop(plain),
      drop(ethernet({ ...forth, payload: ipv6({ ...six, payload: tcp(ports) }) })),
    ],
    counters: {},
  },
];
