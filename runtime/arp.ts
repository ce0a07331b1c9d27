// ARP for IPv4 over Ethernet (RFC 826)
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |       Hardware type (1)       |    Protocol type (0x0800)     |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  HW length 6  | Proto length 4|           Operation           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                      Sender MAC address                       |
//   +                               +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                               |      Sender IPv4 address      |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  Sender IPv4 address (rest)   |       Target MAC address      |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+                               +
//   |                                                               |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                     Target IPv4 address                       |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+

import { ETHERNET_BYTES } from './ethernet';
import { Network } from './network';
import { Packet } from './packet';

const OPERATION: usize = 6;
const SENDER_MAC: usize = 8;
const SENDER_IP: usize = 14;
const TARGET_MAC: usize = 18;
const TARGET_IP: usize = 24;

// Hardware type 1, protocol type 0x0800, lengths 6 and 4, as the first bytes are in memory.
const FIXED: u64 = 0x0406_0008_0100;
const FIXED_MASK: u64 = 0xffff_ffff_ffff;

/** Bytes of an ARP message for IPv4 over Ethernet. */
export const ARP_BYTES: u32 = 28;

/** What an ARP message is (RFC 826). */
export enum ArpOperation {
  Request = 1,
  Reply = 2,
}

/**
 * An ARP message. What {@link of} promises: it is for IPv4 over Ethernet (the four fixed fields
 * say so), and its 28 bytes are inside the packet. MAC addresses are 48-bit numbers.
 *
 * ```ts
 * const arp = Arp.of(packet, 14);
 * if (arp != null && arp.targetIp == 0x0a000001) return Verdict.Punt;
 * ```
 */
@final
@unmanaged
export class Arp {
  /** The message at `offset`, or null when there is none that keeps the promise above. */
  static of(packet: Packet, offset: u32 = ETHERNET_BYTES): Arp | null {
    if (!packet.has(offset, ARP_BYTES)) return null;
    const at = packet.address + <usize>offset;
    return changetype<Arp | null>((load<u64>(at) & FIXED_MASK) == FIXED ? at : 0);
  }

  /** {@link ArpOperation}, or another number. */
  @inline
  get operation(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), OPERATION));
  }

  set operation(value: u32) {
    store<u16>(changetype<usize>(this), Network.swap16(<u16>value), OPERATION);
  }

  @inline
  get senderMac(): u64 {
    return Network.swap64(load<u64>(changetype<usize>(this), SENDER_MAC)) >> 16;
  }

  set senderMac(mac: u64) {
    store<u32>(changetype<usize>(this), Network.swap32(<u32>(mac >> 16)), SENDER_MAC);
    store<u16>(changetype<usize>(this), Network.swap16(<u16>mac), SENDER_MAC + 4);
  }

  @inline
  get senderIp(): u32 {
    return Network.swap32(load<u32>(changetype<usize>(this), SENDER_IP));
  }

  set senderIp(address: u32) {
    store<u32>(changetype<usize>(this), Network.swap32(address), SENDER_IP);
  }

  @inline
  get targetMac(): u64 {
    return Network.swap64(load<u64>(changetype<usize>(this), TARGET_MAC)) >> 16;
  }

  set targetMac(mac: u64) {
    store<u32>(changetype<usize>(this), Network.swap32(<u32>(mac >> 16)), TARGET_MAC);
    store<u16>(changetype<usize>(this), Network.swap16(<u16>mac), TARGET_MAC + 4);
  }

  @inline
  get targetIp(): u32 {
    return Network.swap32(load<u32>(changetype<usize>(this), TARGET_IP));
  }

  set targetIp(address: u32) {
    store<u32>(changetype<usize>(this), Network.swap32(address), TARGET_IP);
  }
}
