// Frames with right lengths and checksums, from the outside in:
//
//   const query = udp({ destinationPort: 53, payload: dnsQuery('a.example') });
//   const frame = ethernet({ payload: ipv4({ payload: query }) });
//
// Each function returns a layer; what encloses it asks it for its number and its bytes. Any field
// can be given, a wrong one too: that is how malformed packets are made.

import { checksum, concat, ipv4Address, ipv6Address, mac, u8, u16, u32 } from './bytes.js';

/** Something that a header carries. */
export interface Layer {
  /** EtherType or IP protocol, by which the header in front announces it. */
  readonly type: number;
  /** Its bytes, given the sum over addresses that its checksum covers. */
  bytes(pseudo: Pseudo): Uint8Array;
}

/** What the IP header in front contributes to a checksum, without length and protocol. */
export type Pseudo = { readonly version: 0 } | { readonly version: 4 | 6; addresses: Uint8Array };

const NONE: Pseudo = { version: 0 };

/** Addresses that everything here has unless told otherwise (RFC 7042, 5737 and 3849). */
export const DEFAULTS = {
  sourceMac: '02:00:00:00:00:01',
  destinationMac: '02:00:00:00:00:02',
  source4: '192.0.2.1',
  destination4: '198.51.100.2',
  source6: '2001:db8::1',
  destination6: '2001:db8::2',
} as const;

/** Bytes without meaning, announced by `type`. */
export function raw(bytes: Uint8Array, type = 0): Layer {
  return { type, bytes: () => bytes };
}

export interface EthernetFields {
  source?: string;
  destination?: string;
  type?: number;
  payload?: Layer;
  /** Bytes that the frame is padded to; 60 by default, as on a wire. */
  pad?: number;
}

/** A whole frame. */
export function ethernet(fields: EthernetFields = {}): Uint8Array {
  const payload = fields.payload ?? raw(new Uint8Array(0));
  const frame = concat(
    mac(fields.destination ?? DEFAULTS.destinationMac),
    mac(fields.source ?? DEFAULTS.sourceMac),
    u16(fields.type ?? payload.type),
    payload.bytes(NONE),
  );
  return concat(frame, new Uint8Array(Math.max(0, (fields.pad ?? 60) - frame.length)));
}

export interface VlanFields {
  id?: number;
  priority?: number;
  /** 0x8100, or 0x88a8 for the outer of two. */
  tag?: number;
  type?: number;
  payload?: Layer;
}

/** A VLAN tag around a payload. */
export function vlan(fields: VlanFields = {}): Layer {
  const payload = fields.payload ?? raw(new Uint8Array(0));
  const control = ((fields.priority ?? 0) << 13) | (fields.id ?? 1);
  const bytes = concat(u16(control), u16(fields.type ?? payload.type), payload.bytes(NONE));
  return { type: fields.tag ?? 0x8100, bytes: () => bytes };
}

export interface ArpFields {
  operation?: number;
  senderMac?: string;
  senderIp?: string;
  targetMac?: string;
  targetIp?: string;
  hardware?: number;
}

/** An ARP message, a request by default. */
export function arp(fields: ArpFields = {}): Layer {
  const bytes = concat(
    u16(fields.hardware ?? 1),
    u16(0x0800),
    u8(6),
    u8(4),
    u16(fields.operation ?? 1),
    mac(fields.senderMac ?? DEFAULTS.sourceMac),
    ipv4Address(fields.senderIp ?? DEFAULTS.source4),
    mac(fields.targetMac ?? '00:00:00:00:00:00'),
    ipv4Address(fields.targetIp ?? DEFAULTS.destination4),
  );
  return { type: 0x0806, bytes: () => bytes };
}

export interface Ipv4Fields {
  source?: string;
  destination?: string;
  timeToLive?: number;
  identification?: number;
  protocol?: number;
  dontFragment?: boolean;
  moreFragments?: boolean;
  /** In bytes, a multiple of 8. */
  fragmentOffset?: number;
  /** A multiple of 4 bytes. */
  options?: Uint8Array;
  version?: number;
  headerLength?: number;
  totalLength?: number;
  checksum?: number;
  payload?: Layer;
}

/** An IPv4 packet. */
export function ipv4(fields: Ipv4Fields = {}): Layer {
  const source = ipv4Address(fields.source ?? DEFAULTS.source4);
  const destination = ipv4Address(fields.destination ?? DEFAULTS.destination4);
  const layer = fields.payload ?? raw(new Uint8Array(0));
  const payload = layer.bytes({ version: 4, addresses: concat(source, destination) });
  const options = fields.options ?? new Uint8Array(0);
  const headerLength = fields.headerLength ?? 20 + options.length;
  const flags = (fields.dontFragment ? 0x4000 : 0) | (fields.moreFragments ? 0x2000 : 0);
  const header = concat(
    u8(((fields.version ?? 4) << 4) | (headerLength >> 2)),
    u8(0),
    u16(fields.totalLength ?? 20 + options.length + payload.length),
    u16(fields.identification ?? 1),
    u16(flags | ((fields.fragmentOffset ?? 0) >> 3)),
    u8(fields.timeToLive ?? 64),
    u8(fields.protocol ?? layer.type),
    u16(0),
    source,
    destination,
    options,
  );
  header.set(u16(fields.checksum ?? checksum(header)), 10);
  return { type: 0x0800, bytes: () => concat(header, payload) };
}

export interface Ipv6Fields {
  source?: string;
  destination?: string;
  hopLimit?: number;
  trafficClass?: number;
  flowLabel?: number;
  nextHeader?: number;
  version?: number;
  payloadLength?: number;
  payload?: Layer;
}

/** An IPv6 packet; extension headers are layers of its payload. */
export function ipv6(fields: Ipv6Fields = {}): Layer {
  const source = ipv6Address(fields.source ?? DEFAULTS.source6);
  const destination = ipv6Address(fields.destination ?? DEFAULTS.destination6);
  const layer = fields.payload ?? raw(new Uint8Array(0), 59);
  const payload = layer.bytes({ version: 6, addresses: concat(source, destination) });
  const first =
    (((fields.version ?? 6) << 28) |
      ((fields.trafficClass ?? 0) << 20) |
      (fields.flowLabel ?? 0)) >>>
    0;
  const bytes = concat(
    u32(first),
    u16(fields.payloadLength ?? payload.length),
    u8(fields.nextHeader ?? layer.type),
    u8(fields.hopLimit ?? 64),
    source,
    destination,
    payload,
  );
  return { type: 0x86dd, bytes: () => bytes };
}

/** Protocol numbers of the extension headers that {@link extension} makes. */
export const EXTENSION = { hopByHop: 0, routing: 43, destination: 60 } as const;

/** A hop-by-hop, routing (used up) or destination options header of `words` times 8 bytes. */
export function extension(type: number, payload: Layer, words = 1): Layer {
  return {
    type,
    bytes(pseudo) {
      // Options: one PadN over all of them (RFC 8200, 4.2). A routing header's type and segments
      // left are in the same place and 0.
      const body = new Uint8Array(words * 8 - 2);
      if (type !== EXTENSION.routing) body.set([1, body.length - 2]);
      return concat(u8(payload.type), u8(words - 1), body, payload.bytes(pseudo));
    },
  };
}

/** An IPv6 fragment header; `offset` in bytes, a multiple of 8. */
export function fragment(payload: Layer, offset: number, more: boolean): Layer {
  return {
    type: 44,
    bytes: (pseudo) =>
      concat(u8(payload.type), u8(0), u16(offset | (more ? 1 : 0)), u32(7), payload.bytes(pseudo)),
  };
}

/** An authentication header (RFC 4302) with 12 bytes of check value. */
export function authentication(payload: Layer): Layer {
  return {
    type: 51,
    bytes: (pseudo) =>
      concat(
        u8(payload.type),
        u8(4),
        u16(0),
        u32(1),
        u32(1),
        new Uint8Array(12),
        payload.bytes(pseudo),
      ),
  };
}

export interface UdpFields {
  sourcePort?: number;
  destinationPort?: number;
  length?: number;
  checksum?: number;
  payload?: Uint8Array;
}

/** A UDP datagram. */
export function udp(fields: UdpFields = {}): Layer {
  const payload = fields.payload ?? new Uint8Array(0);
  const datagram = concat(
    u16(fields.sourcePort ?? 40000),
    u16(fields.destinationPort ?? 9),
    u16(fields.length ?? 8 + payload.length),
    u16(0),
    payload,
  );
  // A sum of 0 is sent as 0xffff (RFC 768).
  return withChecksum(17, datagram, 6, fields.checksum, (sum) => sum || 0xffff);
}

export interface TcpFields {
  sourcePort?: number;
  destinationPort?: number;
  sequence?: number;
  acknowledgment?: number;
  flags?: number;
  window?: number;
  /** A multiple of 4 bytes. */
  options?: Uint8Array;
  headerLength?: number;
  checksum?: number;
  payload?: Uint8Array;
}

/** A TCP segment, a SYN by default. */
export function tcp(fields: TcpFields = {}): Layer {
  const options = fields.options ?? new Uint8Array(0);
  const segment = concat(
    u16(fields.sourcePort ?? 40000),
    u16(fields.destinationPort ?? 80),
    u32(fields.sequence ?? 1),
    u32(fields.acknowledgment ?? 0),
    u8(((fields.headerLength ?? 20 + options.length) >> 2) << 4),
    u8(fields.flags ?? 2),
    u16(fields.window ?? 65535),
    u32(0),
    options,
    fields.payload ?? new Uint8Array(0),
  );
  return withChecksum(6, segment, 16, fields.checksum);
}

export interface IcmpFields {
  type?: number;
  code?: number;
  identifier?: number;
  sequence?: number;
  checksum?: number;
  payload?: Uint8Array;
}

/** An ICMP message, an echo request by default. */
export function icmp(fields: IcmpFields = {}): Layer {
  const message = icmpBytes(fields, 8);
  message.set(u16(fields.checksum ?? checksum(message)), 2);
  return { type: 1, bytes: () => message };
}

/** An ICMPv6 message, an echo request by default. */
export function icmpv6(fields: IcmpFields = {}): Layer {
  return withChecksum(58, icmpBytes(fields, 128), 2, fields.checksum);
}

function icmpBytes(fields: IcmpFields, type: number): Uint8Array {
  return concat(
    u8(fields.type ?? type),
    u8(fields.code ?? 0),
    u16(0),
    u16(fields.identifier ?? 1),
    u16(fields.sequence ?? 1),
    fields.payload ?? new Uint8Array(0),
  );
}

/** A layer whose checksum covers the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1). */
function withChecksum(
  type: number,
  bytes: Uint8Array,
  field: number,
  given: number | undefined,
  adjust: (sum: number) => number = (sum) => sum,
): Layer {
  return {
    type,
    bytes(pseudo) {
      const whole = bytes.slice();
      if (pseudo.version === 0) return whole;
      const front = concat(pseudo.addresses, u32(bytes.length), u32(type));
      whole.set(u16(given ?? adjust(checksum(front, bytes))), field);
      return whole;
    },
  };
}
