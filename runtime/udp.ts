// UDP (RFC 768)
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |          Source port          |        Destination port       |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |             Length            |            Checksum           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

import { Checksum } from './checksum';
import { Network } from './network';
import { Packet } from './packet';
import { Protocol } from './protocol';
import { Transport } from './transport';

const SOURCE_PORT: usize = 0;
const DESTINATION_PORT: usize = 2;
const LENGTH: usize = 4;
const CHECKSUM: usize = 6;

/** Bytes of a UDP header: its payload starts behind them. */
export const UDP_BYTES: u32 = 8;

/**
 * A UDP header. What {@link of} promises: its 8 bytes are inside the packet. `length` is what the
 * sender says; a first fragment, or a lie, says more than the packet has.
 *
 * ```ts
 * const udp = Udp.find(packet);
 * if (udp != null && udp.isTo(53)) return Verdict.Drop;
 * ```
 */
@final
@unmanaged
export class Udp {
  /** The header at `offset`, or null when the packet ends before its end. */
  @inline
  static of(packet: Packet, offset: u32): Udp | null {
    const whole = packet.has(offset, UDP_BYTES);
    return changetype<Udp | null>(whole ? packet.address + <usize>offset : 0);
  }

  /**
   * The header of a UDP packet, through VLAN tags, IPv4 options and IPv6 extension headers; null
   * when it is no UDP packet, or a fragment behind the first.
   */
  @inline
  static find(packet: Packet): Udp | null {
    return changetype<Udp | null>(Transport.find(packet, Protocol.Udp, UDP_BYTES));
  }

  /** Where the payload starts, in bytes from the start of the packet that this is a view of. */
  @inline
  payloadOffset(packet: Packet): u32 {
    return <u32>(changetype<usize>(this) - packet.address) + UDP_BYTES;
  }

  /** Where the payload ends: by `length`, or with the packet when that comes first. */
  payloadEnd(packet: Packet): u32 {
    const end = <u32>(changetype<usize>(this) - packet.address) + this.length;
    return min<u32>(end, packet.length);
  }

  @inline
  get sourcePort(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), SOURCE_PORT));
  }

  set sourcePort(port: u32) {
    store<u16>(changetype<usize>(this), Network.swap16(<u16>port), SOURCE_PORT);
  }

  @inline
  get destinationPort(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), DESTINATION_PORT));
  }

  set destinationPort(port: u32) {
    store<u16>(changetype<usize>(this), Network.swap16(<u16>port), DESTINATION_PORT);
  }

  /** `sourcePort == port`, cheaper for a constant. */
  @inline
  isFrom(port: u32): bool {
    return load<u16>(changetype<usize>(this), SOURCE_PORT) == Network.swap16(<u16>port);
  }

  /** `destinationPort == port`, cheaper for a constant. */
  @inline
  isTo(port: u32): bool {
    return load<u16>(changetype<usize>(this), DESTINATION_PORT) == Network.swap16(<u16>port);
  }

  /** Bytes of header and payload, 8 or more in a sound datagram. */
  @inline
  get length(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), LENGTH));
  }

  /** The checksum as it stands there; 0 is "none" over IPv4. */
  @inline
  get checksum(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), CHECKSUM));
  }

  set checksum(value: u32) {
    store<u16>(changetype<usize>(this), Network.swap16(<u16>value), CHECKSUM);
  }

  /**
   * Updates the checksum after four bytes it covers changed, as an address of the IP header
   * (RFC 1624). None stays none, and a result of 0 is written as 0xffff (RFC 768).
   */
  adjust32(before: u32, after: u32): void {
    const checksum = this.checksum;
    if (checksum == 0) return;
    const updated = Checksum.update32(checksum, before, after);
    this.checksum = updated == 0 ? 0xffff : updated;
  }

  /** The same for two bytes, as a port. */
  adjust16(before: u32, after: u32): void {
    const checksum = this.checksum;
    if (checksum == 0) return;
    const updated = Checksum.update16(checksum, before, after);
    this.checksum = updated == 0 ? 0xffff : updated;
  }
}
