/** The fields of a packet by the bytes that they have. */
import { type Header, type HeaderKind, headersOf } from './headers.js';

/** Bytes `start` up to, not including, `end`. */
export interface Field {
  /** `IPv4 checksum`. */
  name: string;
  start: number;
  end: number;
}

/** Of each header: how it is called, then its fields in their order, as name and bytes. */
const LAYOUTS: Readonly<Record<HeaderKind, readonly [string, ...(readonly [string, number])[]]>> = {
  ethernet: ['Ethernet', ['destination', 6], ['source', 6], ['type', 2]],
  vlan: ['VLAN', ['control', 2], ['type', 2]],
  arp: [
    'ARP',
    ['formats', 6],
    ['operation', 2],
    ['sender MAC', 6],
    ['sender IP', 4],
    ['target MAC', 6],
    ['target IP', 4],
  ],
  ipv4: [
    'IPv4',
    ['version and header length', 1],
    ['traffic class', 1],
    ['total length', 2],
    ['identification', 2],
    ['fragment', 2],
    ['time to live', 1],
    ['protocol', 1],
    ['checksum', 2],
    ['source', 4],
    ['destination', 4],
  ],
  ipv6: [
    'IPv6',
    ['version, traffic class, flow label', 4],
    ['payload length', 2],
    ['next header', 1],
    ['hop limit', 1],
    ['source', 16],
    ['destination', 16],
  ],
  extension: ['IPv6 extension', ['next header', 1], ['length', 1]],
  udp: ['UDP', ['source port', 2], ['destination port', 2], ['length', 2], ['checksum', 2]],
  tcp: [
    'TCP',
    ['source port', 2],
    ['destination port', 2],
    ['sequence', 4],
    ['acknowledgment', 4],
    ['header length', 1],
    ['flags', 1],
    ['window', 2],
    ['checksum', 2],
    ['urgent pointer', 2],
  ],
  icmp: ['ICMP', ['type', 1], ['code', 1], ['checksum', 2], ['identifier', 2], ['sequence', 2]],
  icmpv6: ['ICMPv6', ['type', 1], ['code', 1], ['checksum', 2], ['identifier', 2], ['sequence', 2]],
  payload: ['payload'],
  padding: ['padding'],
};

/** Every byte of a packet by its field, in order. What has no name of its own is its header's. */
export function fieldsOf(packet: Uint8Array): Field[] {
  return headersOf(packet).list.flatMap(fieldsIn);
}

function fieldsIn({ kind, start, end }: Header): Field[] {
  const [header, ...layout] = LAYOUTS[kind];
  let at = start;
  const fields = layout.map(([name, bytes]): Field => {
    at += bytes;
    return { name: `${header} ${name}`, start: at - bytes, end: at };
  });
  if (at === end) return fields;
  const rest = layout.length === 0 || kind === 'extension' ? header : `${header} options`;
  return [...fields, { name: rest, start: at, end }];
}
