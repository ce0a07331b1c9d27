/** Hosts on both sides of a router, and packets that they send each other. */
import { concat, packetText, u8, u16, u32 } from 'wirelet/test';
import { ethernet, ipv4, ipv6, type Layer, raw } from 'wirelet/test/layers';

/** The left hosts are behind port 0, the right ones behind port 1. */
export type Side = 0 | 1;
export type Version = 4 | 6;

export interface Host {
  side: Side;
  version: Version;
  address: string;
}

/** The ends' MAC addresses by side; the last byte is the port of `ends` that they send by. */
export const END_MACS = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as const;
export const ROUTER_MACS = ['02:00:00:00:01:01', '02:00:00:00:01:02'] as const;

export interface Sent {
  /** By it a packet is known again on the other side. */
  key: string;
  side: Side;
  packet: Uint8Array;
}

/** A packet that is made when it is its turn, out of a number of its own. */
export type Step = (id: number) => Sent;

/** What `from` sends to `to`. */
export function step(from: Host, to: Host, payload: Layer | ((id: number) => Layer)): Step {
  return (id) => {
    const layer = typeof payload === 'function' ? payload(id) : payload;
    const packet = overIp(from, to, id, layer);
    return { key: keyOf(packet), side: from.side, packet };
  };
}

function overIp(from: Host, to: Host, id: number, payload: Layer, fields = {}): Uint8Array {
  const addresses = { source: from.address, destination: to.address };
  const layer =
    from.version === 4
      ? ipv4({ ...addresses, identification: id, payload, ...fields })
      : ipv6({ ...addresses, flowLabel: id, payload });
  const macs = { source: END_MACS[from.side], destination: ROUTER_MACS[from.side] };
  return ethernet({ ...macs, payload: layer });
}

/** Fragments of one packet, in order, `bytes` of it in each. */
export function* fragments(from: Host, to: Host, payload: Layer, bytes: number): Generator<Step> {
  const pseudo = overIp(from, to, 0, payload);
  // The payload with its checksum, behind Ethernet and IP.
  const start = 14 + (from.version === 4 ? 20 : 40);
  const length = payload.bytes({ version: 0 }).length;
  const whole = pseudo.slice(start, start + length);
  let first: number | undefined;
  for (let at = 0; at < whole.length; at += bytes) {
    yield (id) => {
      first ??= id;
      const more = at + bytes < whole.length;
      const part = whole.slice(at, at + bytes);
      const packet = fragment(from, to, first, payload.type, at, more, part);
      return { key: keyOf(packet), side: from.side, packet };
    };
  }
}

function fragment(
  from: Host,
  to: Host,
  id: number,
  protocol: number,
  at: number,
  more: boolean,
  part: Uint8Array,
): Uint8Array {
  if (from.version === 4) {
    return overIp(from, to, id, raw(part, protocol), { fragmentOffset: at, moreFragments: more });
  }
  const header = concat(u8(protocol), u8(0), u16(at | (more ? 1 : 0)), u32(id));
  return overIp(from, to, id, raw(concat(header, part), 44));
}

/**
 * What a router leaves as it is: IPv4's identification and IPv6's flow label, in which the packet's
 * number stands, and the place of a fragment.
 */
export function keyOf(packet: Uint8Array): string {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const type = view.getUint16(12);
  if (type === 0x0800) return `4/${view.getUint16(18)}/${(view.getUint16(20) & 0x1fff) * 8}`;
  if (type !== 0x86dd) throw new Error(`no IP packet: ${packetText(packet)}`);
  // Who cuts a packet anew gives the fragments another identification.
  const offset = view.getUint8(20) === 44 ? view.getUint16(56) & 0xfff8 : 0;
  return `6/${view.getUint32(14) & 0xfffff}/${offset}`;
}
