/** Layers of the network: IPv4, IPv6, extension headers. */
import { checksum, concat, ipv4Address, ipv6Address, u8, u16, u32 } from './bytes.js';
import { DEFAULTS, type Layer, raw } from './layer.js';

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
