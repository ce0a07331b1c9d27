// IPv6 (RFC 8200, 3)
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |Version| Traffic class |              Flow label               |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |        Payload length         |  Next header  |   Hop limit   |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                                                               |
//   +                         Source address                        +
//   |                          (16 bytes)                           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                                                               |
//   +                       Destination address                     +
//   |                          (16 bytes)                           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// Extension headers are walked by `IpPayload`.

import { ETHERNET_BYTES } from './ethernet';
import { Network } from './network';
import { Packet } from './packet';
import { Protocol } from './protocol';

const FIRST_WORD: usize = 0;
const PAYLOAD_LENGTH: usize = 4;
const NEXT_HEADER: usize = 6;
const HOP_LIMIT: usize = 7;
const SOURCE: usize = 8;
const DESTINATION: usize = 24;

/** Bytes of an IPv6 header without extension headers. */
export const IPV6_BYTES: u32 = 40;

/**
 * An IPv6 header. What {@link of} promises: version 6, its 40 bytes and as many more as the payload
 * length says inside the packet. Addresses are two numbers, the upper and the lower 64 bits:
 * 2001:db8::1 is 0x20010db800000000 and 1.
 *
 * ```ts
 * const ip = Ipv6.of(packet, 14);
 * if (ip != null && ip.hopLimit < 2) return Verdict.Punt;
 * ```
 */
@final
@unmanaged
export class Ipv6 {
  /** The header at `offset`, or null when there is none that keeps the promise above. */
  static of(packet: Packet, offset: u32 = ETHERNET_BYTES): Ipv6 | null {
    if (!packet.has(offset, IPV6_BYTES)) return null;
    const ip = changetype<Ipv6>(packet.address + <usize>offset);
    const whole = ip.version == 6 && packet.has(offset, IPV6_BYTES + ip.payloadLength);
    return changetype<Ipv6 | null>(whole ? changetype<usize>(ip) : 0);
  }

  @inline
  get version(): u32 {
    return load<u8>(changetype<usize>(this), FIRST_WORD) >> 4;
  }

  /** DSCP (RFC 2474) in the upper 6 bits, ECN (RFC 3168) in the lower 2. */
  @inline
  get trafficClass(): u32 {
    return (Network.swap32(load<u32>(changetype<usize>(this), FIRST_WORD)) >> 20) & 0xff;
  }

  /** 20 bits that senders give to the packets of a flow (RFC 6437). */
  @inline
  get flowLabel(): u32 {
    return Network.swap32(load<u32>(changetype<usize>(this), FIRST_WORD)) & 0xf_ffff;
  }

  /** Bytes behind the 40, extension headers included; 0 in a jumbogram (RFC 2675). */
  @inline
  get payloadLength(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), PAYLOAD_LENGTH));
  }

  /** The first header behind this one, an extension header or not. */
  @inline
  get nextHeader(): Protocol {
    return (<i32>load<u8>(changetype<usize>(this), NEXT_HEADER)) as Protocol;
  }

  @inline
  get hopLimit(): u32 {
    return load<u8>(changetype<usize>(this), HOP_LIMIT);
  }

  set hopLimit(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, HOP_LIMIT);
  }

  /** Upper 64 bits of the source address. */
  @inline
  get sourceHigh(): u64 {
    return Network.swap64(load<u64>(changetype<usize>(this), SOURCE));
  }

  /** Lower 64 bits of the source address. */
  @inline
  get sourceLow(): u64 {
    return Network.swap64(load<u64>(changetype<usize>(this), SOURCE + 8));
  }

  /** Upper 64 bits of the destination address. */
  @inline
  get destinationHigh(): u64 {
    return Network.swap64(load<u64>(changetype<usize>(this), DESTINATION));
  }

  /** Lower 64 bits of the destination address. */
  @inline
  get destinationLow(): u64 {
    return Network.swap64(load<u64>(changetype<usize>(this), DESTINATION + 8));
  }

  /** Sets the source address; IPv6 has no header checksum, TCP and UDP cover it. */
  setSource(high: u64, low: u64): void {
    store<u64>(changetype<usize>(this), Network.swap64(high), SOURCE);
    store<u64>(changetype<usize>(this), Network.swap64(low), SOURCE + 8);
  }

  /** Sets the destination address. */
  setDestination(high: u64, low: u64): void {
    store<u64>(changetype<usize>(this), Network.swap64(high), DESTINATION);
    store<u64>(changetype<usize>(this), Network.swap64(low), DESTINATION + 8);
  }
}
