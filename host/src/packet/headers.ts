/** Where the headers of a packet lie, as far as they are whole and keep their promises. */

export type HeaderKind =
  | 'ethernet'
  | 'vlan'
  | 'arp'
  | 'ipv4'
  | 'ipv6'
  | 'extension'
  | 'udp'
  | 'tcp'
  | 'icmp'
  | 'icmpv6'
  /** What no header is known for, or what is cut off. */
  | 'payload'
  /** Behind the end that the IP header names. */
  | 'padding';

/** Bytes `start` up to, not including, `end` of the packet. */
export interface Header {
  kind: HeaderKind;
  start: number;
  end: number;
}

export interface Headers {
  /** From the first byte to the last, without gaps. */
  list: Header[];
  /** EtherType behind the VLAN tags. */
  type: number;
  /** Protocol behind IP and its extension headers. */
  protocol?: number;
}

const ETHERNET_BYTES = 14;
const VLAN_TYPES = [0x8100, 0x88a8, 0x9100];
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const TRANSPORT: ReadonlyMap<number, HeaderKind> = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [58, 'icmpv6'],
]);

/** The headers of an Ethernet packet. */
export function headersOf(packet: Uint8Array): Headers {
  const walk = new Walk(packet);
  let type = 0;
  let protocol: number | undefined;
  if (walk.take('ethernet', ETHERNET_BYTES)) type = walk.u16(12);
  while (VLAN_TYPES.includes(type) && walk.take('vlan', 4)) type = walk.u16(walk.at - 2);
  if (type === 0x0806) walk.take('arp', 28);
  else if (type === 0x0800) protocol = takeIpv4(walk);
  else if (type === 0x86dd) protocol = takeIpv6(walk);
  walk.finish();
  return { list: walk.headers, type, ...(protocol === undefined ? {} : { protocol }) };
}

function takeIpv4(walk: Walk): number | undefined {
  const { at } = walk;
  const bytes = (walk.u8(at) & 0x0f) * 4;
  const total = walk.u16(at + 2);
  if (walk.u8(at) >> 4 !== 4 || bytes < 20 || total < bytes) return undefined;
  if (!walk.take('ipv4', bytes)) return undefined;
  walk.endAt(at + total);
  const protocol = walk.u8(at + 9);
  const isLaterFragment = (walk.u16(at + 6) & 0x1fff) !== 0;
  if (!isLaterFragment) takeTransport(walk, protocol);
  return protocol;
}

function takeIpv6(walk: Walk): number | undefined {
  const { at } = walk;
  if (walk.u8(at) >> 4 !== 6 || !walk.take('ipv6', 40)) return undefined;
  walk.endAt(at + 40 + walk.u16(at + 4));
  let next = walk.u8(at + 6);
  for (;;) {
    const start = walk.at;
    const bytes = extensionBytes(next, walk.u8(start + 1));
    if (bytes === 0) break;
    const isFragment = next === FRAGMENT;
    next = walk.u8(start);
    if (!walk.take('extension', bytes)) return next;
    if (isFragment && walk.u16(start + 2) >> 3 !== 0) return next;
  }
  takeTransport(walk, next);
  return next;
}

/** Bytes of the extension header of type `next` with the length field `length`; 0: it is none. */
function extensionBytes(next: number, length: number): number {
  if (next === FRAGMENT) return 8;
  if (next === AUTHENTICATION) return (length + 2) * 4;
  return [0, 43, 60].includes(next) ? (length + 1) * 8 : 0;
}

function takeTransport(walk: Walk, protocol: number): void {
  const kind = TRANSPORT.get(protocol);
  if (kind === undefined) return;
  const tcpBytes = (walk.u8(walk.at + 12) >> 4) * 4;
  const bytes = kind === 'tcp' ? tcpBytes : 8;
  if (kind !== 'tcp' || tcpBytes >= 20) walk.take(kind, bytes);
}

class Walk {
  readonly headers: Header[] = [];
  /** Where the next header begins. */
  at = 0;
  readonly #packet: Uint8Array;
  #end: number;

  constructor(packet: Uint8Array) {
    this.#packet = packet;
    this.#end = packet.length;
  }

  /** The byte at `at`, 0 behind the end. */
  u8(at: number): number {
    return this.#packet[at] ?? 0;
  }

  u16(at: number): number {
    return (this.u8(at) << 8) | this.u8(at + 1);
  }

  /** False when fewer than `bytes` bytes are left. */
  take(kind: HeaderKind, bytes: number): boolean {
    if (this.at + bytes > this.#end) return false;
    this.headers.push({ kind, start: this.at, end: this.at + bytes });
    this.at += bytes;
    return true;
  }

  /** The header that was taken says that the packet ends there. */
  endAt(end: number): void {
    this.#end = Math.max(this.at, Math.min(this.#end, end));
  }

  finish(): void {
    if (this.at < this.#end) this.take('payload', this.#end - this.at);
    this.#end = this.#packet.length;
    if (this.at < this.#end) this.take('padding', this.#end - this.at);
  }
}
