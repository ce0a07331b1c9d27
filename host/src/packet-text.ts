/**
 * A packet in one line, much as tcpdump would say it. Any bytes have a line: what is cut off is
 * said to be, what is unknown is named by its number.
 */
import { questionName } from './packet.js';

const MAC_BYTES = 6;
const ETHERNET_BYTES = 14;
const VLAN_BYTES = 4;
const IPV4_BYTES = 20;
const IPV6_BYTES = 40;
const TYPES = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, qinq: 0x88a8, ipv6: 0x86dd } as const;
/** Of both IP versions. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: 'ICMP',
  2: 'IGMP',
  4: 'IPIP',
  41: 'IPv6',
  47: 'GRE',
  50: 'ESP',
  89: 'OSPF',
  132: 'SCTP',
};
const TCP = 6;
const UDP = 17;
const ICMP = 1;
const ICMPV6 = 58;
const DNS_PORT = 53;
/** As tcpdump writes them, FIN first. */
const TCP_FLAGS = ['F', 'S', 'R', 'P', '.', 'U'] as const;
/** Tags in a row; more are no network's. */
const VLANS_MAX = 4;
const TEXT_MAX = 64;

const ICMP_NAMES: Readonly<Record<number, string>> = {
  0: 'echo reply',
  3: 'unreachable',
  5: 'redirect',
  8: 'echo request',
  11: 'time exceeded',
};
const ICMPV6_NAMES: Readonly<Record<number, string>> = {
  1: 'unreachable',
  2: 'packet too big',
  3: 'time exceeded',
  128: 'echo request',
  129: 'echo reply',
  133: 'router solicitation',
  134: 'router advertisement',
  135: 'neighbor solicitation',
  136: 'neighbor advertisement',
};

/**
 * The line of `packet`.
 *
 * ```ts
 * packetText(udpPacket(...)); // IP 10.0.0.1.4000 > 10.0.0.53.53: UDP, DNS a.example?, length 70
 * ```
 */
export function packetText(packet: Uint8Array): string {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  try {
    return `${frameText(view)}, length ${packet.length}`;
  } catch (thrown) {
    if (thrown instanceof RangeError) return `${macsText(view)} cut off, length ${packet.length}`;
    throw thrown;
  }
}

function frameText(view: DataView): string {
  let at = 2 * MAC_BYTES;
  let tags = '';
  let type = view.getUint16(at);
  for (let tag = 0; isVlan(type) && tag < VLANS_MAX; tag++) {
    tags += `vlan ${view.getUint16(at + 2) & 0xfff} `;
    at += VLAN_BYTES;
    type = view.getUint16(at);
  }
  return `${tags}${networkText(view, at + 2, type)}`;
}

function networkText(view: DataView, at: number, type: number): string {
  if (type === TYPES.ipv4) return ipv4Text(view, at);
  if (type === TYPES.ipv6) return ipv6Text(view, at);
  if (type === TYPES.arp) return arpText(view, at);
  return `${macsText(view)} type 0x${type.toString(16).padStart(4, '0')}`;
}

function ipv4Text(view: DataView, at: number): string {
  const headerBytes = (view.getUint8(at) & 0xf) * 4;
  if (headerBytes < IPV4_BYTES) return `IP bad header length ${headerBytes}`;
  const [from, to] = [ipv4Address(view, at + 12), ipv4Address(view, at + 16)];
  const fragment = view.getUint16(at + 6) & 0x1fff;
  const protocol = view.getUint8(at + 9);
  if (fragment > 0) return `IP ${from} > ${to}: fragment at ${fragment * 8}`;
  return `IP ${transportText(view, at + headerBytes, protocol, from, to)}`;
}

function ipv6Text(view: DataView, at: number): string {
  const [from, to] = [ipv6Address(view, at + 8), ipv6Address(view, at + 24)];
  const next = view.getUint8(at + 6);
  return `IP6 ${transportText(view, at + IPV6_BYTES, next, from, to)}`;
}

function transportText(
  view: DataView,
  at: number,
  protocol: number,
  from: string,
  to: string,
): string {
  const ports = () => `${from}.${view.getUint16(at)} > ${to}.${view.getUint16(at + 2)}`;
  switch (protocol) {
    case UDP:
      return `${ports()}: UDP${dnsText(view, at)}`;
    case TCP:
      return `${ports()}: ${tcpText(view, at)}`;
    case ICMP:
      return `${from} > ${to}: ICMP ${named(ICMP_NAMES, view.getUint8(at))}`;
    case ICMPV6:
      return `${from} > ${to}: ICMP6 ${named(ICMPV6_NAMES, view.getUint8(at))}`;
    default:
      return `${from} > ${to}: ${PROTOCOLS[protocol] ?? `protocol ${protocol}`}`;
  }
}

function tcpText(view: DataView, at: number): string {
  const bits = view.getUint8(at + 13);
  const flags = TCP_FLAGS.filter((_, bit) => (bits & (1 << bit)) !== 0).join('');
  const ack = (bits & 0x10) !== 0 ? `, ack ${view.getUint32(at + 8)}` : '';
  return `TCP [${flags || 'none'}], seq ${view.getUint32(at + 4)}${ack}`;
}

/** What a query asks, when that can be read. */
function dnsText(view: DataView, at: number): string {
  const [from, to] = [view.getUint16(at), view.getUint16(at + 2)];
  if (from !== DNS_PORT && to !== DNS_PORT) return '';
  const start = view.byteOffset + at + 8;
  const message = new Uint8Array(view.buffer, start, view.byteOffset + view.byteLength - start);
  const name = readable(questionName(message));
  return `, DNS ${name}${to === DNS_PORT ? '?' : ''}`;
}

function arpText(view: DataView, at: number): string {
  const operation = view.getUint16(at + 6);
  const [sender, target] = [ipv4Address(view, at + 14), ipv4Address(view, at + 24)];
  if (operation === 1) return `ARP who-has ${target} tell ${sender}`;
  if (operation === 2) return `ARP ${sender} is-at ${macAddress(view, at + 8)}`;
  return `ARP operation ${operation}`;
}

function macsText(view: DataView): string {
  if (view.byteLength < ETHERNET_BYTES) return 'a frame';
  return `${macAddress(view, MAC_BYTES)} > ${macAddress(view, 0)}`;
}

function isVlan(type: number): boolean {
  return type === TYPES.vlan || type === TYPES.qinq;
}

function named(names: Readonly<Record<number, string>>, value: number): string {
  return names[value] ?? `type ${value}`;
}

function macAddress(view: DataView, at: number): string {
  return bytesOf(view, at, MAC_BYTES)
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join(':');
}

function ipv4Address(view: DataView, at: number): string {
  return bytesOf(view, at, 4).join('.');
}

/** The longest run of zeros, if it is two groups at least, becomes `::` (RFC 5952, 4.2). */
function ipv6Address(view: DataView, at: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(at + 2 * index));
  let [start, length] = [0, 0];
  for (const index of groups.keys()) {
    const end = groups.findIndex((group, place) => place >= index && group !== 0);
    const run = (end < 0 ? groups.length : end) - index;
    if (run > length) [start, length] = [index, run];
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':');
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

function bytesOf(view: DataView, at: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => view.getUint8(at + index));
}

/** Names come from the network: nothing in them may drive a terminal. */
function readable(name: string): string {
  const clean = name.replace(/[^\x21-\x7e]/g, '?');
  return clean.length <= TEXT_MAX ? clean : `${clean.slice(0, TEXT_MAX)}...`;
}
