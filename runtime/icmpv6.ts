// ICMPv6 (RFC 4443, 2.1); neighbor discovery (RFC 4861) has the same first 4 bytes
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |      Type     |      Code     |            Checksum           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |     Identifier, or other      |     Sequence, or other        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

import { Checksum } from './checksum';
import { IpPayload } from './ippayload';
import { Network } from './network';
import { Packet } from './packet';
import { Protocol } from './protocol';

const TYPE: usize = 0;
const CODE: usize = 1;
const CHECKSUM: usize = 2;
const IDENTIFIER: usize = 4;
const SEQUENCE: usize = 6;

/** Bytes of an ICMPv6 header. */
export const ICMPV6_BYTES: u32 = 8;

/** What an ICMPv6 message is (IANA, ICMPv6 parameters); others are numbers. */
export enum Icmpv6Type {
  Unreachable = 1,
  PacketTooBig = 2,
  TimeExceeded = 3,
  ParameterProblem = 4,
  EchoRequest = 128,
  EchoReply = 129,
  RouterSolicitation = 133,
  RouterAdvertisement = 134,
  NeighborSolicitation = 135,
  NeighborAdvertisement = 136,
}

/**
 * An ICMPv6 header. What {@link of} promises: its 8 bytes are inside the packet. Identifier and
 * sequence are those of echo messages; other messages have other things there.
 *
 * ```ts
 * const icmp = Icmpv6.find(packet);
 * if (icmp != null && icmp.type == Icmpv6Type.EchoRequest) return Verdict.Punt;
 * ```
 */
@final
@unmanaged
export class Icmpv6 {
  /** The header at `offset`, or null when the packet ends before its end. */
  static of(packet: Packet, offset: u32): Icmpv6 | null {
    const whole = packet.has(offset, ICMPV6_BYTES);
    return changetype<Icmpv6 | null>(whole ? packet.address + <usize>offset : 0);
  }

  /** The header of an ICMPv6 packet over IPv6, as {@link Udp.find}. */
  static find(packet: Packet): Icmpv6 | null {
    const payload = IpPayload.of(packet);
    if (payload == null || payload.protocol != Protocol.Icmpv6) return null;
    if (payload.version != 6 || payload.isLaterFragment) return null;
    return Icmpv6.of(packet, payload.offset);
  }

  /** {@link Icmpv6Type}, or another number. */
  @inline
  get type(): u32 {
    return load<u8>(changetype<usize>(this), TYPE);
  }

  set type(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, TYPE);
  }

  @inline
  get code(): u32 {
    return load<u8>(changetype<usize>(this), CODE);
  }

  set code(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, CODE);
  }

  /** The checksum as it stands there; see {@link Transport}. */
  @inline
  get checksum(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), CHECKSUM));
  }

  set checksum(value: u32) {
    store<u16>(changetype<usize>(this), Network.swap16(<u16>value), CHECKSUM);
  }

  /** Which program's echo it is. */
  @inline
  get identifier(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), IDENTIFIER));
  }

  /** Which echo of its program it is. */
  @inline
  get sequence(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), SEQUENCE));
  }

  /** Updates the checksum after two bytes it covers, at an even offset, changed (RFC 1624). */
  adjust16(before: u32, after: u32): void {
    this.checksum = Checksum.update16(this.checksum, before, after);
  }
}
