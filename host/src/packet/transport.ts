/** Layers of the transport: UDP, TCP, ICMP. */
import { checksum, concat, u8, u16, u32 } from './bytes.js';
import type { Layer } from './layer.js';

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
