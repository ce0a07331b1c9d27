// TCP (RFC 9293, 3.1)
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |          Source port          |        Destination port       |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                        Sequence number                        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                     Acknowledgment number                     |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |Data of|       |C E U A P R S F|             Window            |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |            Checksum           |         Urgent pointer        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                    Options (0 to 40 bytes)                    |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

import { Checksum } from './checksum';
import { Network } from './network';
import { Options } from './options';
import { Packet } from './packet';
import { Protocol } from './protocol';
import { Transport } from './transport';

const SOURCE_PORT: usize = 0;
const DESTINATION_PORT: usize = 2;
const SEQUENCE: usize = 4;
const ACKNOWLEDGMENT: usize = 8;
const DATA_OFFSET: usize = 12;
const FLAGS: usize = 13;
const WINDOW: usize = 14;
const CHECKSUM: usize = 16;

/** Bytes of a TCP header without options. */
export const TCP_BYTES: u32 = 20;

/** The bits of {@link Tcp.flags}. */
export enum TcpFlag {
  Fin = 1,
  Syn = 2,
  Rst = 4,
  Psh = 8,
  Ack = 16,
  Urg = 32,
  Ece = 64,
  Cwr = 128,
}

/**
 * A TCP header. What {@link of} promises: a data offset of 20 bytes or more, and the whole header
 * with its options inside the packet.
 *
 * ```ts
 * const tcp = Tcp.find(packet);
 * if (tcp != null && tcp.has(TcpFlag.Syn)) return Verdict.Drop;
 * ```
 */
@final
@unmanaged
export class Tcp {
  /** The header at `offset`, or null when there is none that keeps the promise above. */
  static of(packet: Packet, offset: u32): Tcp | null {
    if (!packet.has(offset, TCP_BYTES)) return null;
    const tcp = changetype<Tcp>(packet.address + <usize>offset);
    const bytes = tcp.headerLength;
    const whole = bytes >= TCP_BYTES && packet.has(offset, bytes);
    return changetype<Tcp | null>(whole ? changetype<usize>(tcp) : 0);
  }

  /** The header of a TCP packet, as {@link Udp.find}. */
  @inline
  static find(packet: Packet): Tcp | null {
    const at = Transport.find(packet, Protocol.Tcp, TCP_BYTES);
    return at == 0 ? null : Tcp.of(packet, <u32>(at - packet.address));
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

  @inline
  get sequence(): u32 {
    return Network.swap32(load<u32>(changetype<usize>(this), SEQUENCE));
  }

  @inline
  get acknowledgment(): u32 {
    return Network.swap32(load<u32>(changetype<usize>(this), ACKNOWLEDGMENT));
  }

  /** Bytes of the header with its options, 20 to 60. */
  @inline
  get headerLength(): u32 {
    return (<u32>load<u8>(changetype<usize>(this), DATA_OFFSET) >> 4) << 2;
  }

  /** Where the payload starts, in bytes from the start of the packet that this is a view of. */
  @inline
  payloadOffset(packet: Packet): u32 {
    return <u32>(changetype<usize>(this) - packet.address) + this.headerLength;
  }

  /** {@link TcpFlag}s, or'd. */
  @inline
  get flags(): u32 {
    return load<u8>(changetype<usize>(this), FLAGS);
  }

  /** Whether this flag is set. */
  @inline
  has(flag: TcpFlag): bool {
    return (<u32>load<u8>(changetype<usize>(this), FLAGS) & <u32>(<i32>flag)) != 0;
  }

  /** Receive window, not scaled. */
  @inline
  get window(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), WINDOW));
  }

  /** The checksum as it stands there; see {@link Transport}. */
  @inline
  get checksum(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), CHECKSUM));
  }

  set checksum(value: u32) {
    store<u16>(changetype<usize>(this), Network.swap16(<u16>value), CHECKSUM);
  }

  /** Updates the checksum after four bytes it covers changed (RFC 1624). */
  adjust32(before: u32, after: u32): void {
    this.checksum = Checksum.update32(this.checksum, before, after);
  }

  /** The same for two bytes, as a port. */
  adjust16(before: u32, after: u32): void {
    this.checksum = Checksum.update16(this.checksum, before, after);
  }

  /** Bytes from the header's start to its first option of this kind, 0 for none. */
  option(kind: u32): u32 {
    return Options.find(changetype<usize>(this), TCP_BYTES, this.headerLength, kind);
  }
}
