/**
 * A packet in a line, as tcpdump writes it:
 *
 * ```text
 * IP 10.0.0.1.1000 > 192.0.2.53.53: 4660+ A? ads.example. (29)
 * IP6 2001:db8::1.4000 > 2001:db8::2.443: Flags [S], seq 1, win 65535, length 0
 * ARP, Request who-has 198.51.100.2 tell 192.0.2.1, length 46
 * ```
 */
import { addressText, macText } from './bytes.js';
import { dnsText } from './dns-text.js';
import type { Header } from './headers.js';
import { PacketReader } from './reader.js';
import { tcpText } from './tcp-text.js';

export interface PacketTextOptions {
  /** MAC addresses, EtherType, length and VLAN tags too, as `tcpdump -e`. */
  link?: boolean;
}

const TYPES: ReadonlyMap<number, string> = new Map([
  [0x0800, 'IPv4'],
  [0x0806, 'ARP'],
  [0x86dd, 'IPv6'],
  [0x8100, '802.1Q'],
  [0x88a8, '802.1Q-QinQ'],
  [0x9100, '802.1Q-9100'],
  [0x88cc, 'LLDP'],
  [0x8847, 'MPLS unicast'],
]);

/** Says what a packet is. Whatever it holds, there is a line. */
export function packetText(packet: Uint8Array, options: PacketTextOptions = {}): string {
  const reader = new PacketReader(packet);
  const text = networkText(reader, options.link ?? false);
  return options.link ? `${linkText(reader)}${text}` : text;
}

function linkText(reader: PacketReader): string {
  if (!reader.find('ethernet')) return '';
  const destination = macText(reader.bytes(0, 6));
  const source = macText(reader.bytes(6, 6));
  const parts = [`${source} > ${destination}`, typeText(reader.u16(12))];
  const length = `length ${reader.length}: `;
  const tags = reader.headers.list.filter(({ kind }) => kind === 'vlan');
  const tagTexts = tags.map(({ start }) => {
    const control = reader.u16(start);
    const priority = `p ${control >> 13}${control & 0x1000 ? ', DEI' : ''}`;
    return `vlan ${control & 0xfff}, ${priority}, ${typeText(reader.u16(start + 2))}, `;
  });
  return `${[...parts, length].join(', ')}${tagTexts.join('')}`;
}

function typeText(type: number): string {
  const hex = `0x${type.toString(16).padStart(4, '0')}`;
  return type < 0x600
    ? `802.3, length ${type}`
    : `ethertype ${TYPES.get(type) ?? 'Unknown'} (${hex})`;
}

function networkText(reader: PacketReader, afterLink: boolean): string {
  const arp = reader.find('arp');
  if (arp) return `${afterLink ? '' : 'ARP, '}${arpText(reader, arp)}`;
  const ip = reader.find('ipv4', 'ipv6');
  if (ip) return `${afterLink ? '' : ip.kind === 'ipv4' ? 'IP ' : 'IP6 '}${ipText(reader, ip)}`;
  if (!reader.find('ethernet')) return `[|ether], length ${reader.length}`;
  const { type } = reader.headers;
  const name = TYPES.get(type);
  if ([0x0800, 0x0806, 0x86dd].includes(type)) return `${afterLink ? '' : `${name}, `}malformed`;
  return afterLink ? (name ?? 'Unknown') : `${typeText(type)}, length ${reader.length}`;
}

function arpText(reader: PacketReader, { start }: Header): string {
  const senderMac = macText(reader.bytes(start + 8, 6));
  const sender = addressText(reader.bytes(start + 14, 4));
  const targetMac = reader.bytes(start + 18, 6);
  const target = addressText(reader.bytes(start + 24, 4));
  const asked = targetMac.some((byte) => byte !== 0) ? ` (${macText(targetMac)})` : '';
  const operation = reader.u16(start + 6);
  const length = `length ${reader.length - start}`;
  if (operation === 1) return `Request who-has ${target}${asked} tell ${sender}, ${length}`;
  if (operation === 2) return `Reply ${sender} is-at ${senderMac}, ${length}`;
  return `operation ${operation}, ${sender} to ${target}, ${length}`;
}

function ipText(reader: PacketReader, ip: Header): string {
  const isIpv4 = ip.kind === 'ipv4';
  const [at, bytes] = isIpv4 ? [ip.start + 12, 4] : [ip.start + 8, 16];
  const source = addressText(reader.bytes(at, bytes));
  const destination = addressText(reader.bytes(at + bytes, bytes));
  const transport = reader.find('udp', 'tcp', 'icmp', 'icmpv6');
  if (transport?.kind === 'udp' || transport?.kind === 'tcp') {
    const [from, to] = [reader.u16(transport.start), reader.u16(transport.start + 2)];
    const text = transport.kind === 'udp' ? udpText : tcpText;
    return `${source}.${from} > ${destination}.${to}: ${text(reader, transport)}`;
  }
  const text = transport ? icmpText(reader, transport) : `ip-proto-${reader.headers.protocol}`;
  return `${source} > ${destination}: ${text}`;
}

function udpText(reader: PacketReader, { start, end }: Header): string {
  const length = reader.u16(start + 4);
  if (length < 8) return `truncated-udplength ${length}`;
  const ports = [reader.u16(start), reader.u16(start + 2)];
  const message = reader.rest(end).subarray(0, length - 8);
  const dns = ports.includes(53) ? dnsText(message) : undefined;
  return dns ?? `UDP, length ${length - 8}`;
}

const ICMP_TYPES: Readonly<Record<string, string>> = {
  'icmp 0': 'echo reply',
  'icmp 8': 'echo request',
  'icmpv6 128': 'echo request',
  'icmpv6 129': 'echo reply',
};

function icmpText(reader: PacketReader, { kind, start }: Header): string {
  const [type, code] = [reader.u8(start), reader.u8(start + 1)];
  const head = kind === 'icmp' ? 'ICMP ' : 'ICMP6, ';
  const length = `length ${reader.rest(start).length}`;
  const echo = ICMP_TYPES[`${kind} ${type}`];
  if (echo === undefined) return `${head}type ${type}, code ${code}, ${length}`;
  return `${head}${echo}, id ${reader.u16(start + 4)}, seq ${reader.u16(start + 6)}, ${length}`;
}
