// Ethernet II (IEEE 802.3, 3.1.1)
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                      Destination address                      |
//   +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                               |                               |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+         Source address        +
//   |                                                               |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |              Type             |            Payload            |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

import { Network } from './network';
import { Packet } from './packet';

const DESTINATION: usize = 0;
const SOURCE: usize = 6;
const TYPE: usize = 12;

/** Bytes of an Ethernet header without tags: where its payload starts. */
export const ETHERNET_BYTES: u32 = 14;

/** What an Ethernet frame carries (IANA, IEEE 802 numbers). Below 1,536 it is a length. */
export enum EtherType {
  Ipv4 = 0x0800,
  Arp = 0x0806,
  Vlan = 0x8100,
  Ipv6 = 0x86dd,
  Mpls = 0x8847,
  PppoeSession = 0x8864,
  QinQ = 0x88a8,
  QinQOld = 0x9100,
  Lldp = 0x88cc,
}

/**
 * The Ethernet header of a packet: 14 bytes that are inside it. MAC addresses are 48-bit numbers,
 * 02:00:00:00:00:01 is 0x020000000001.
 *
 * ```ts
 * const ethernet = Ethernet.of(packet);
 * if (!ethernet.hasType(EtherType.Ipv4)) return Verdict.Pass;
 * ```
 */
@final
@unmanaged
export class Ethernet {
  /** The header; no check and no null, because every packet has 14 bytes at least. */
  @inline
  static of(packet: Packet): Ethernet {
    return changetype<Ethernet>(packet.address);
  }

  /** Where the frame goes. */
  @inline
  get destination(): u64 {
    return Network.swap64(load<u64>(changetype<usize>(this), DESTINATION)) >> 16;
  }

  set destination(mac: u64) {
    store<u32>(changetype<usize>(this), Network.swap32(<u32>(mac >> 16)), DESTINATION);
    store<u16>(changetype<usize>(this), Network.swap16(<u16>mac), DESTINATION + 4);
  }

  /** Where it comes from. */
  @inline
  get source(): u64 {
    return Network.swap64(load<u64>(changetype<usize>(this), SOURCE)) >> 16;
  }

  set source(mac: u64) {
    store<u32>(changetype<usize>(this), Network.swap32(<u32>(mac >> 16)), SOURCE);
    store<u16>(changetype<usize>(this), Network.swap16(<u16>mac), SOURCE + 4);
  }

  /** What it carries, or, below 1,536, the bytes of an 802.3 payload. */
  @inline
  get type(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), TYPE));
  }

  set type(value: u32) {
    store<u16>(changetype<usize>(this), Network.swap16(<u16>value), TYPE);
  }

  /** `type == value`, cheaper: the constant is swapped, not the packet's bytes. */
  @inline
  hasType(value: EtherType): bool {
    return load<u16>(changetype<usize>(this), TYPE) == Network.swap16(<u16>(<i32>value));
  }

  /** Whether the destination is a group of receivers; the broadcast address is one. */
  @inline
  get isMulticast(): bool {
    return (load<u8>(changetype<usize>(this), DESTINATION) & 1) != 0;
  }

  /** Whether the destination is ff:ff:ff:ff:ff:ff. */
  @inline
  get isBroadcast(): bool {
    return load<u64>(changetype<usize>(this), DESTINATION) << 16 == 0xffff_ffff_ffff_0000;
  }

  /**
   * Sets both addresses in two stores, of bytes that were put in order before: `firstBytes` and
   * `lastBytes`, once per address and not per packet.
   */
  @inline
  setAddresses(first: u64, last: u32): void {
    store<u64>(changetype<usize>(this), first, DESTINATION);
    store<u32>(changetype<usize>(this), last, 8);
  }

  /** The header's first 8 bytes, for {@link setAddresses}. */
  static firstBytes(destination: u64, source: u64): u64 {
    return Network.swap64((destination << 16) | ((source >> 32) & 0xffff));
  }

  /** The last 4 bytes of the source, for {@link setAddresses}. */
  static lastBytes(source: u64): u32 {
    return Network.swap32(<u32>source);
  }

  /** Exchanges source and destination: two loads and two stores. */
  @inline
  swapAddresses(): void {
    const first = load<u64>(changetype<usize>(this), 0);
    const last = load<u32>(changetype<usize>(this), 8);
    // In memory: d0-d5 s0 s1 | s2-s5 becomes s0-s5 d0 d1 | d2-d5.
    // Exclusive, though nothing overlaps: an inclusive OR of these becomes a double shift, which
    // AMD's processors take apart into six steps (3 % of the program's time).
    const exchanged = (first >> 48) ^ ((<u64>last) << 16) ^ (first << 48);
    store<u64>(changetype<usize>(this), exchanged, 0);
    store<u32>(changetype<usize>(this), <u32>(first >> 16), 8);
  }
}
