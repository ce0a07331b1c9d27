/**
 * pcapng as Wirelet writes it: one section, little-endian, Ethernet, nanoseconds, and a comment on
 * each packet that says what it is there for. Blocks and options as in draft-ietf-opsawg-pcapng.
 */

const SECTION = 0x0a0d0d0a;
const INTERFACE = 1;
const PACKET = 6;
const BYTE_ORDER = 0x1a2b3c4d;
const LINK_ETHERNET = 1;
const OPTION_COMMENT = 1;
/** Of a packet; of an interface it is the name. */
const OPTION_FLAGS = 2;
const OPTION_NAME = 2;
const OPTION_TSRESOL = 9;
const OPTION_APPLICATION = 4;
/** 10 to the power of -9 seconds. */
const NANOSECONDS = 9;
/** An option's length has 16 bits; what is longer was not written by us. */
const TEXT_BYTES_MAX = 4096;

export interface CapturedPacket {
  bytes: Uint8Array;
  /** Nanoseconds since 1970. */
  timeNs: bigint;
  /** Index into the interfaces. */
  interface: number;
  comment: string;
  /** Bytes of the packet, where `bytes` may be fewer; default their number. */
  length?: number;
  /** Into the appliance, or out of it. */
  direction?: 'in' | 'out';
}

/**
 * A whole file.
 *
 * ```ts
 * const packet = { bytes, timeNs: 0n, interface: 0, comment: 'the first' };
 * writeFileSync('one.pcapng', encodePcapng(['in'], [packet]));
 * ```
 */
export function encodePcapng(
  interfaces: readonly string[],
  packets: readonly CapturedPacket[],
): Uint8Array {
  return Buffer.concat([
    pcapngSection(),
    ...interfaces.map(pcapngInterface),
    ...packets.map(pcapngPacket),
  ]);
}

/** What a file begins with. */
export function pcapngSection(): Uint8Array {
  return block(
    SECTION,
    [u32(BYTE_ORDER), u16(1), u16(0), u32(0xffff_ffff), u32(0xffff_ffff)],
    [option(OPTION_APPLICATION, text('wirelet'))],
  );
}

/** The next interface; it stands before the first of its packets. */
export function pcapngInterface(name: string): Uint8Array {
  return block(
    INTERFACE,
    [u16(LINK_ETHERNET), u16(0), u32(0)],
    [option(OPTION_NAME, text(name)), option(OPTION_TSRESOL, Uint8Array.of(NANOSECONDS))],
  );
}

export function pcapngPacket(packet: CapturedPacket): Uint8Array {
  const { bytes, timeNs, interface: index, comment, length = bytes.length, direction } = packet;
  const [high, low] = [Number(timeNs >> 32n), Number(timeNs & 0xffff_ffffn)];
  const head = [u32(index), u32(high), u32(low), u32(bytes.length), u32(length)];
  const flags = direction && option(OPTION_FLAGS, u32(direction === 'in' ? 1 : 2));
  const options = [
    ...(flags ? [flags] : []),
    ...(comment === '' ? [] : [option(OPTION_COMMENT, text(comment))]),
  ];
  return block(PACKET, [...head, padded(bytes)], options);
}

/** Type, length, body, options, length again. */
function block(type: number, body: Uint8Array[], options: Uint8Array[]): Uint8Array {
  const end = options.length === 0 ? [] : [u32(0)];
  const content = Buffer.concat([...body, ...options, ...end]);
  const length = u32(content.length + 12);
  return Buffer.concat([u32(type), length, content, length]);
}

function option(code: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([u16(code), u16(value.length), padded(value)]);
}

/** At most so many bytes, cut between two characters. */
function text(value: string): Uint8Array {
  const bytes = new Uint8Array(TEXT_BYTES_MAX);
  const { written } = new TextEncoder().encodeInto(value, bytes);
  return bytes.subarray(0, written);
}

/** To a multiple of four bytes. */
function padded(bytes: Uint8Array): Uint8Array {
  const filled = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  filled.set(bytes);
  return filled;
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, value >>> 8);
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24);
}
