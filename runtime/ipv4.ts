// IPv4 (RFC 791, 3.1)
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |Version|  IHL  |    DSCP   |ECN|          Total length         |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |         Identification        |Flags|     Fragment offset     |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Time to live |    Protocol   |        Header checksum        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                         Source address                        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                      Destination address                      |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                    Options (0 to 40 bytes)                    |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

import { ETHERNET_BYTES } from './ethernet';
import { Network } from './network';
import { Packet } from './packet';
import { Protocol } from './protocol';

const VERSION_IHL: usize = 0;
const TRAFFIC_CLASS: usize = 1;
const TOTAL_LENGTH: usize = 2;
const IDENTIFICATION: usize = 4;
const FRAGMENT: usize = 6;
const TIME_TO_LIVE: usize = 8;
const PROTOCOL: usize = 9;
const CHECKSUM: usize = 10;
const SOURCE: usize = 12;
const DESTINATION: usize = 16;

/** Bytes of an IPv4 header without options. */
export const IPV4_BYTES: u32 = 20;

/**
 * An IPv4 header. What {@link of} promises: version 4, the whole header with its options inside the
 * packet, and a total length that is not shorter than the header and not longer than the packet.
 * (The packet may be longer: Ethernet pads to 60 bytes.) The checksum is not verified. Addresses
 * are numbers, 10.0.0.1 is 0x0a000001.
 *
 * ```ts
 * const ip = Ipv4.of(packet, 14);
 * if (ip == null) return Verdict.Drop;
 * const payload = 14 + ip.headerLength;
 * ```
 */
@final
@unmanaged
export class Ipv4 {
  /** The header at `offset`, or null when there is none that keeps the promise above. */
  static of(packet: Packet, offset: u32 = ETHERNET_BYTES): Ipv4 | null {
    if (!packet.has(offset, IPV4_BYTES)) return null;
    const ip = changetype<Ipv4>(packet.address + <usize>offset);
    const header = ip.headerLength;
    const total = ip.totalLength;
    const whole = ip.version == 4 && header >= IPV4_BYTES && header <= total;
    return changetype<Ipv4 | null>(whole && packet.has(offset, total) ? changetype<usize>(ip) : 0);
  }

  @inline
  get version(): u32 {
    return load<u8>(changetype<usize>(this), VERSION_IHL) >> 4;
  }

  /** Bytes of the header with its options, 20 to 60: the payload starts behind them. */
  @inline
  get headerLength(): u32 {
    return (<u32>load<u8>(changetype<usize>(this), VERSION_IHL) & 15) << 2;
  }

  /** Differentiated services code point (RFC 2474), 0 to 63. */
  @inline
  get dscp(): u32 {
    return load<u8>(changetype<usize>(this), TRAFFIC_CLASS) >> 2;
  }

  /** Explicit congestion notification (RFC 3168), 0 to 3. */
  @inline
  get ecn(): u32 {
    return load<u8>(changetype<usize>(this), TRAFFIC_CLASS) & 3;
  }

  /** Bytes of header and payload. */
  @inline
  get totalLength(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), TOTAL_LENGTH));
  }

  @inline
  get identification(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), IDENTIFICATION));
  }

  @inline
  get dontFragment(): bool {
    return (load<u8>(changetype<usize>(this), FRAGMENT) & 0x40) != 0;
  }

  @inline
  get moreFragments(): bool {
    return (load<u8>(changetype<usize>(this), FRAGMENT) & 0x20) != 0;
  }

  /** Where this fragment's payload belongs, in bytes; 0 for the first and for whole packets. */
  @inline
  get fragmentOffset(): u32 {
    return (<u32>Network.swap16(load<u16>(changetype<usize>(this), FRAGMENT)) & 0x1fff) << 3;
  }

  /** Whether it is a fragment behind the first, which has no TCP or UDP header. */
  @inline
  get isLaterFragment(): bool {
    return (load<u16>(changetype<usize>(this), FRAGMENT) & 0xff1f) != 0;
  }

  @inline
  get timeToLive(): u32 {
    return load<u8>(changetype<usize>(this), TIME_TO_LIVE);
  }

  @inline
  get protocol(): Protocol {
    return (<i32>load<u8>(changetype<usize>(this), PROTOCOL)) as Protocol;
  }

  /** The header checksum as it stands there. */
  @inline
  get checksum(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), CHECKSUM));
  }

  @inline
  get source(): u32 {
    return Network.swap32(load<u32>(changetype<usize>(this), SOURCE));
  }

  @inline
  get destination(): u32 {
    return Network.swap32(load<u32>(changetype<usize>(this), DESTINATION));
  }
}
