import { ETHERNET_BYTES } from './ethernet';
import { Network } from './network';
import { Packet } from './packet';
import { VLAN_BYTES, Vlan } from './vlan';

// A packet with more tags than this is treated as if the last one were its payload.
const TAGS_MAX: u32 = 8;

/**
 * What an Ethernet frame carries behind its VLAN tags, and where. It is a number in a register, not
 * an object: nothing is stored or allocated.
 *
 * ```ts
 * const payload = EthernetPayload.of(packet);
 * if (payload.type == EtherType.Arp) arp = Arp.of(packet, payload.offset);
 * ```
 */
@final
@unmanaged
export class EthernetPayload {
  /** Walks over at most 8 tags (802.1Q, 802.1ad, and 0x9100); a tag that is cut off stays. */
  static of(packet: Packet): EthernetPayload {
    const address = packet.address;
    let offset = ETHERNET_BYTES;
    let type = load<u16>(address, 12);
    while (Vlan.isAnnouncedBy(type)) {
      const next = offset + VLAN_BYTES;
      if (next > ETHERNET_BYTES + TAGS_MAX * VLAN_BYTES || next > packet.length) break;
      type = load<u16>(address + next - 2);
      offset = next;
    }
    return changetype<EthernetPayload>(<usize>(((<u32>Network.swap16(type)) << 16) | offset));
  }

  /** {@link EtherType} behind the tags; below 1,536 it is the length of an 802.3 payload. */
  @inline
  get type(): u32 {
    return <u32>changetype<usize>(this) >> 16;
  }

  /** Where that starts, in bytes: 14 and 4 for each tag. It may be the packet's end. */
  @inline
  get offset(): u32 {
    return <u32>changetype<usize>(this) & 0xffff;
  }

  /** VLAN tags in front of it. */
  @inline
  get tags(): u32 {
    return (this.offset - ETHERNET_BYTES) / VLAN_BYTES;
  }
}
