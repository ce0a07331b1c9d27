import { hex } from 'wirelet/test';
import {
  arp,
  authentication,
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
import { type Case, pass } from '../../testing/cases.js';

const NONE = {
  packets: 0,
  vlan: 0,
  arp: 0,
  ipv4: 0,
  ipv6: 0,
  other: 0,
  tcp: 0,
  udp: 0,
  icmp: 0,
  icmpv6: 0,
  ipOther: 0,
};

function carrying(payload: Layer, bytes?: number): Uint8Array {
  const frame = ethernet({ payload, pad: 0 });
  return bytes === undefined ? frame : frame.slice(0, bytes);
}

export const cases: Case[] = [
  {
    name: 'one-of-each',
    steps: [
      carrying(arp()),
      carrying(ipv4({ payload: tcp() })),
      carrying(ipv4({ payload: udp() })),
      carrying(ipv4({ payload: icmp() })),
      carrying(ipv4({ payload: raw(new Uint8Array(8), 47) })),
      carrying(ipv6({ payload: tcp() })),
      carrying(ipv6({ payload: udp() })),
      carrying(ipv6({ payload: icmpv6() })),
      carrying(ipv6()),
      carrying(raw(new Uint8Array(46), 0x88cc)),
      ethernet({ type: 46 }),
    ].map(pass),
    counters: {
      ...NONE,
      packets: 11,
      arp: 1,
      ipv4: 4,
      ipv6: 4,
      other: 2,
      tcp: 2,
      udp: 2,
      icmp: 1,
      icmpv6: 1,
      ipOther: 2,
    },
  },
  {
    name: 'vlan-tags-are-looked-through',
    steps: [
      carrying(vlan({ payload: ipv4({ payload: tcp() }) })),
      carrying(vlan({ tag: 0x88a8, payload: vlan({ payload: ipv6({ payload: udp() }) }) })),
      carrying(vlan({ payload: arp() })),
      carrying(vlan({ payload: raw(new Uint8Array(4), 0x88cc) })),
      // A tag that is cut off is a type like any other.
      carrying(raw(hex('0001'), 0x8100)),
    ].map(pass),
    counters: { ...NONE, packets: 5, vlan: 4, arp: 1, ipv4: 1, ipv6: 1, other: 2, tcp: 1, udp: 1 },
  },
  {
    name: 'fragments-count-by-protocol',
    steps: [
      carrying(ipv4({ payload: udp(), moreFragments: true })),
      carrying(ipv4({ payload: raw(new Uint8Array(16), 17), fragmentOffset: 8 })),
      carrying(ipv6({ payload: fragment(tcp(), 0, true) })),
      carrying(ipv6({ payload: fragment(raw(new Uint8Array(16), 6), 24, false) })),
    ].map(pass),
    counters: { ...NONE, packets: 4, ipv4: 2, ipv6: 2, tcp: 2, udp: 2 },
  },
  {
    name: 'extension-headers-are-walked',
    steps: [
      carrying(ipv6({ payload: extension(EXTENSION.hopByHop, icmpv6()) })),
      carrying(ipv6({ payload: extension(EXTENSION.routing, authentication(tcp()), 3) })),
      carrying(ipv6({ payload: extension(EXTENSION.destination, raw(new Uint8Array(16), 50)) })),
      carrying(ipv4({ payload: ipv6InIpv4() })),
    ].map(pass),
    counters: { ...NONE, packets: 4, ipv4: 1, ipv6: 3, tcp: 1, icmpv6: 1, ipOther: 2 },
  },
  {
    name: 'cut-and-malformed',
    steps: [
      carrying(ipv4({ payload: tcp() }), 33),
      carrying(ipv4({ payload: tcp() }), 34),
      carrying(ipv4({ payload: tcp(), headerLength: 16 })),
      carrying(ipv4({ payload: tcp(), headerLength: 60 })),
      carrying(ipv4({ payload: tcp(), version: 6 })),
      carrying(ipv4({ payload: tcp(), totalLength: 19 })),
      carrying(ipv6({ payload: tcp() }), 53),
      carrying(ipv6({ payload: tcp() }), 54),
      carrying(ipv6({ payload: tcp(), version: 4 })),
      carrying(ipv6({ payload: extension(EXTENSION.hopByHop, tcp(), 9) }), 100),
      carrying(arp(), 20),
    ].map(pass),
    counters: { ...NONE, packets: 11, arp: 1, ipv4: 6, ipv6: 4, tcp: 2, ipOther: 8 },
  },
];

/** A tunnel: what is inside does not count. */
function ipv6InIpv4(): Layer {
  return raw(ipv6({ payload: tcp() }).bytes({ version: 0 }), 41);
}
