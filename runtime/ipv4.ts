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

import { Checksum } from './checksum';
import { ETHERNET_BYTES } from './ethernet';
import { Network } from './network';
import { Options } from './options';
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
  @inline
  static of(packet: Packet, offset: u32 = ETHERNET_BYTES): Ipv4 | null {
    if (!packet.has(offset, IPV4_BYTES)) return null;
    const ip = changetype<Ipv4>(packet.address + <usize>offset);
    if (!ip.hasVersionAndLength) return null;
    const total = ip.totalLength;
    if (ip.headerLength > total || !packet.has(offset, total)) return null;
    // Read anew, so that the compiler leaves a branch here, which a CPU predicts. Of two values it
    // would select one, and all that is read of the header would wait for every comparison above.
    return changetype<Ipv4>(packet.address + <usize>offset);
  }

  /** Version 4 and 5 to 15 words: 0x45 to 0x4f, so one comparison does. */
  @inline
  private get hasVersionAndLength(): bool {
    return <u32>load<u8>(changetype<usize>(this), VERSION_IHL) - 0x45 < 11;
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

  /** DSCP (RFC 2474) in the upper 6 bits, ECN (RFC 3168) in the lower 2. */
  @inline
  get trafficClass(): u32 {
    return load<u8>(changetype<usize>(this), TRAFFIC_CLASS);
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

  /** Whether routers must not cut it (DF). */
  @inline
  get dontFragment(): bool {
    return (load<u8>(changetype<usize>(this), FRAGMENT) & 0x40) != 0;
  }

  /** Whether it is a part of a packet: MF or a fragment offset. */
  @inline
  get isFragment(): bool {
    return (load<u16>(changetype<usize>(this), FRAGMENT) & 0xff3f) != 0;
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

  /** Whether it is right: a sum over the header. */
  get isChecksumGood(): bool {
    const at = changetype<usize>(this);
    // Nearly every header has no options: 20 bytes, in one go.
    if (this.headerLength == IPV4_BYTES) return Checksum.isZero20(at);
    return Checksum.finish(Checksum.sum(at, this.headerLength)) == 0;
  }

  /** Computes the checksum anew, over the whole header. */
  fillChecksum(): void {
    store<u16>(changetype<usize>(this), 0, CHECKSUM);
    const sum = Checksum.sum(changetype<usize>(this), this.headerLength);
    store<u16>(changetype<usize>(this), Network.swap16(<u16>Checksum.finish(sum)), CHECKSUM);
  }

  @inline
  get source(): u32 {
    return Network.swap32(load<u32>(changetype<usize>(this), SOURCE));
  }

  /** Sets the address and updates the header checksum (not that of TCP or UDP). */
  set source(address: u32) {
    replace(changetype<usize>(this), SOURCE, address);
  }

  @inline
  get destination(): u32 {
    return Network.swap32(load<u32>(changetype<usize>(this), DESTINATION));
  }

  /** Sets the address and updates the header checksum (not that of TCP or UDP). */
  set destination(address: u32) {
    replace(changetype<usize>(this), DESTINATION, address);
  }

  /** Bytes from the header's start to its first option of this kind, 0 for none. */
  option(kind: u32): u32 {
    return Options.find(changetype<usize>(this), IPV4_BYTES, this.headerLength, kind);
  }

  /** One less to live, as in a router (RFC 1812, 5.3.1); false, and unchanged, at 0 or 1. */
  decrementTimeToLive(): bool {
    const at = changetype<usize>(this);
    const before = <u32>load<u8>(at, TIME_TO_LIVE);
    if (before <= 1) return false;
    store<u8>(at, <u8>(before - 1), TIME_TO_LIVE);
    // RFC 1141: the time to live is the upper byte of its word, so the sum is 0x0100 more, which is
    // 1 when bytes are swapped; 0xffff (-0) becomes 0.
    const sum = <u32>load<u16>(at, CHECKSUM) + 1;
    store<u16>(at, <u16>(sum + ((sum + 1) >> 16)), CHECKSUM);
    return true;
  }
}

function replace(header: usize, field: usize, value: u32): void {
  const ip = changetype<Ipv4>(header);
  const before = Network.swap32(load<u32>(header + field));
  store<u32>(header + field, Network.swap32(value));
  const sum = Checksum.update32(ip.checksum, before, value);
  store<u16>(header, Network.swap16(<u16>sum), CHECKSUM);
}
