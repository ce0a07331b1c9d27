import { Network } from './network';
import { Packet } from './packet';

/** Times 65,535 it is 1 (modulo 2^64). */
const INVERSE_OF_65535: u64 = 0xfffe_fffe_fffe_ffff;
/** Up to 2^64 there are so many, without 0. */
const MULTIPLES_OF_65535: u64 = 0x0001_0001_0001_0001;

/**
 * The Internet checksum (RFC 1071) and its incremental update (RFC 1624). Sums are taken over
 * little-endian words and swapped once at the end, which gives the same result (RFC 1071, 2B).
 *
 * ```ts
 * const old = udp.destinationPort;
 * udp.destinationPort = 5353;
 * udp.checksum = Checksum.update16(udp.checksum, old, 5353);
 * ```
 */
export class Checksum {
  /** The checksum of `bytes` bytes of the packet from `offset` on; a fault outside the packet. */
  static of(packet: Packet, offset: u32, bytes: u32): u32 {
    if (!packet.has(offset, bytes)) throw new RangeError('checksum outside the packet');
    return Checksum.finish(Checksum.sum(packet.address + <usize>offset, bytes));
  }

  /** A checksum after two bytes it covers, at an even offset, changed from `before` to `after`. */
  static update16(checksum: u32, before: u32, after: u32): u32 {
    // RFC 1624, equation 3: ~(~HC + ~m + m'). The other forms can give -0 for +0.
    let sum = (~checksum & 0xffff) + (~before & 0xffff) + (after & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
  }

  /** A checksum after four bytes it covers, at an even offset, changed: an IPv4 address. */
  static update32(checksum: u32, before: u32, after: u32): u32 {
    let sum = (~checksum & 0xffff) + (~before & 0xffff) + (after & 0xffff);
    sum += (~before >> 16) + (after >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
  }

  /** For views: the little-endian sum, not folded, of `bytes` bytes that are known to be there. */
  static sum(address: usize, bytes: u32): u64 {
    let sum: u64 = 0;
    // Four bytes a step: 65,535 bytes cannot overflow 64 bits, so nothing is folded in the loop.
    const words = address + (bytes & ~3);
    for (; address < words; address += 4) sum += load<u32>(address);
    if (bytes & 2) {
      sum += load<u16>(address);
      address += 2;
    }
    if (bytes & 1) sum += load<u8>(address);
    return sum;
  }

  /**
   * For views: whether the checksum over 20 bytes that are known to be there is 0. Words of 16 bits
   * add up to -0 where their sum, and 2^16 being 1 then any sum of wider words, is a multiple of
   * 65,535 that is not 0. A product tells (Hacker's Delight, 10-17): three steps, no folding.
   */
  @inline
  static isZero20(address: usize): bool {
    const first = load<u64>(address);
    let sum = first + load<u64>(address, 8);
    // What leaves at the top comes in at the bottom: 2^64 is 1, too.
    sum += sum < first ? 1 : 0;
    const last = <u64>load<u32>(address, 16);
    sum += last;
    sum += sum < last ? 1 : 0;
    return sum * INVERSE_OF_65535 - 1 < MULTIPLES_OF_65535;
  }

  /** For views: the checksum that a little-endian sum stands for. */
  static finish(sum: u64): u32 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return Network.swap16(<u16>~sum);
  }
}
