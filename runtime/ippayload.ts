import { EtherType } from './ethernet';
import { EthernetPayload } from './ethernetpayload';
import { IPV4_BYTES, Ipv4 } from './ipv4';
import { IPV6_BYTES, Ipv6 } from './ipv6';
import { Packet } from './packet';
import { Protocol } from './protocol';

// RFC 8200, 4.1 asks for 7 extension headers at most; the walk gives up behind 16.
const EXTENSIONS_MAX: u32 = 16;

// The number: offset, protocol, flags.
const PROTOCOL_SHIFT: u32 = 16;
const VERSION_6: u32 = 1 << 24;
const FRAGMENT: u32 = 1 << 25;
const LATER_FRAGMENT: u32 = 1 << 26;

/**
 * What an IP packet carries, and where: behind VLAN tags, IPv4 options and IPv6 extension headers.
 * It is a number in a register, not an object: nothing is stored or allocated.
 *
 * What {@link of} promises: every header before `offset` is inside the packet. It does not check
 * that the packet has all the bytes that the IP lengths claim.
 *
 * ```ts
 * const payload = IpPayload.of(packet);
 * if (payload != null && payload.protocol == Protocol.Gre) return Verdict.Drop;
 * ```
 */
@final
@unmanaged
export class IpPayload {
  /** Walks to it; null when the packet is not IP or its IP header is cut off or malformed. */
  static of(packet: Packet): IpPayload | null {
    const payload = EthernetPayload.of(packet);
    if (payload.type == EtherType.Ipv4) return IpPayload.ofIpv4(packet, payload.offset);
    if (payload.type == EtherType.Ipv6) return IpPayload.ofIpv6(packet, payload.offset);
    return null;
  }

  /**
   * The payload of the IPv4 header at `offset`: version 4, 20 bytes or more, all in the packet, and
   * a total length that is not shorter, or 0, as segmentation offload leaves it.
   */
  static ofIpv4(packet: Packet, offset: u32): IpPayload | null {
    if (!packet.has(offset, IPV4_BYTES)) return null;
    const ip = changetype<Ipv4>(packet.address + <usize>offset);
    const header = ip.headerLength;
    const total = ip.totalLength;
    if (ip.version != 4 || header < IPV4_BYTES || (total != 0 && header > total)) return null;
    if (!packet.has(offset, header)) return null;
    const flags = (ip.isFragment ? FRAGMENT : 0) | (ip.isLaterFragment ? LATER_FRAGMENT : 0);
    return pack(offset + header, <u32>(<i32>ip.protocol), flags);
  }

  /**
   * The payload of the IPv6 header at `offset`, behind hop-by-hop options, routing, fragment,
   * authentication (RFC 4302) and destination options headers, at most 16. The walk stops at the
   * first that is cut off, and behind the fragment header of a later fragment; ESP ends it too.
   */
  static ofIpv6(packet: Packet, offset: u32): IpPayload | null {
    if (!packet.has(offset, IPV6_BYTES)) return null;
    const ip = changetype<Ipv6>(packet.address + <usize>offset);
    if (ip.version != 6) return null;
    let protocol = <u32>(<i32>ip.nextHeader);
    let flags = VERSION_6;
    let at = offset + IPV6_BYTES;
    for (let i: u32 = 0; i < EXTENSIONS_MAX && isExtension(protocol) && packet.has(at, 8); i++) {
      const header = packet.address + <usize>at;
      let bytes: u32 = 8;
      if (protocol == Protocol.Fragment) {
        // Offset in the upper 13 bits of bytes 2 and 3, as they are in memory, and "more" in the
        // last. With neither it is the whole packet, an atomic fragment (RFC 6946).
        const place = load<u16>(header, 2);
        if ((place & 0xf9ff) != 0) flags |= FRAGMENT;
        if ((place & 0xf8ff) != 0) flags |= LATER_FRAGMENT;
      } else if (protocol == Protocol.Authentication) {
        bytes = (<u32>load<u8>(header, 1) + 2) << 2;
      } else {
        bytes = (<u32>load<u8>(header, 1) + 1) << 3;
      }
      if (!packet.has(at, bytes)) break;
      protocol = load<u8>(header);
      at += bytes;
      if (flags & LATER_FRAGMENT) break;
    }
    return pack(at, protocol, flags);
  }

  /** What it is. An IPv6 extension header here is one that is cut off, or the 17th. */
  @inline
  get protocol(): Protocol {
    return (<i32>((<u32>changetype<usize>(this) >> PROTOCOL_SHIFT) & 0xff)) as Protocol;
  }

  /** Where it starts, in bytes from the packet's start; it may be the packet's end. */
  @inline
  get offset(): u32 {
    return <u32>changetype<usize>(this) & 0xffff;
  }

  /** 4 or 6. */
  @inline
  get version(): u32 {
    return <u32>changetype<usize>(this) & VERSION_6 ? 6 : 4;
  }

  /** Whether it is a part of a packet. */
  @inline
  get isFragment(): bool {
    return (<u32>changetype<usize>(this) & FRAGMENT) != 0;
  }

  /** Whether it is a fragment behind the first: what is at `offset` is no header. */
  @inline
  get isLaterFragment(): bool {
    return (<u32>changetype<usize>(this) & LATER_FRAGMENT) != 0;
  }
}

function isExtension(protocol: u32): bool {
  return (
    protocol == Protocol.HopByHop ||
    protocol == Protocol.Routing ||
    protocol == Protocol.Fragment ||
    protocol == Protocol.Authentication ||
    protocol == Protocol.Destination
  );
}

function pack(offset: u32, protocol: u32, flags: u32): IpPayload {
  return changetype<IpPayload>(<usize>(offset | (protocol << PROTOCOL_SHIFT) | flags));
}
