// VLAN tag: 802.1Q, and 802.1ad for the outer of two (IEEE 802.1Q-2018, 9.6)
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   | PCP |D|        VLAN id        |     Type of what follows      |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// The type that announces a tag (0x8100, 0x88a8) is the last field of the header before it.

import { ETHERNET_BYTES, EtherType } from './ethernet';
import { Network } from './network';
import { Packet } from './packet';

const CONTROL: usize = 0;
const TYPE: usize = 2;

/** Bytes of a VLAN tag. */
export const VLAN_BYTES: u32 = 4;

/**
 * A VLAN tag whose 4 bytes are inside the packet. The outer tag is at 14, the next at 18.
 *
 * ```ts
 * const outer = Vlan.of(packet);
 * if (outer != null && outer.id == 100) return Verdict.Pass;
 * ```
 */
@final
@unmanaged
export class Vlan {
  /** The tag at `offset`; null when the type before it announces none, or the packet ends. */
  static of(packet: Packet, offset: u32 = ETHERNET_BYTES): Vlan | null {
    if (offset < ETHERNET_BYTES || !packet.has(offset, VLAN_BYTES)) return null;
    const at = packet.address + <usize>offset;
    return changetype<Vlan | null>(Vlan.isAnnouncedBy(load<u16>(at - 2)) ? at : 0);
  }

  /** For views: whether a type, as it was loaded from the packet, announces a tag. */
  @inline
  static isAnnouncedBy(loaded: u16): bool {
    return (
      loaded == Network.swap16(<u16>EtherType.Vlan) ||
      loaded == Network.swap16(<u16>EtherType.QinQ) ||
      loaded == Network.swap16(<u16>EtherType.QinQOld)
    );
  }

  /** VLAN id, 0 to 4,095; 0 is "none, only a priority". */
  @inline
  get id(): u32 {
    return <u32>Network.swap16(load<u16>(changetype<usize>(this), CONTROL)) & 0xfff;
  }

  set id(value: u32) {
    const kept = <u32>load<u8>(changetype<usize>(this), CONTROL) & 0xf0;
    store<u8>(changetype<usize>(this), <u8>(kept | ((value >> 8) & 15)), CONTROL);
    store<u8>(changetype<usize>(this), <u8>value, CONTROL + 1);
  }

  /** Priority code point, 0 to 7. */
  @inline
  get priority(): u32 {
    return load<u8>(changetype<usize>(this), CONTROL) >> 5;
  }

  /** Drop eligible indicator. */
  @inline
  get dropEligible(): bool {
    return (load<u8>(changetype<usize>(this), CONTROL) & 0x10) != 0;
  }

  /** What follows the tag. */
  @inline
  get type(): u32 {
    return Network.swap16(load<u16>(changetype<usize>(this), TYPE));
  }

  /** `type == value`, cheaper for a constant. */
  @inline
  hasType(value: EtherType): bool {
    return load<u16>(changetype<usize>(this), TYPE) == Network.swap16(<u16>(<i32>value));
  }

  /**
   * Puts a tag in front of what follows the addresses, outside of any tag there. `control` holds
   * priority, drop eligibility and id as the diagram does. False when there is no headroom.
   */
  static insert(packet: Packet, control: u32, type: EtherType = EtherType.Vlan): bool {
    if (!packet.push(VLAN_BYTES)) return false;
    const at = packet.address;
    store<u64>(at, load<u64>(at, 4));
    store<u32>(at, load<u32>(at, 12), 8);
    const tag = ((<u32>type) << 16) | (control & 0xffff);
    store<u32>(at, Network.swap32(tag), 12);
    return true;
  }

  /** Takes the outermost tag away; false when there is none. */
  static remove(packet: Packet): bool {
    // Fewer than 18 bytes cannot lose 4 and still be a packet.
    if (Vlan.of(packet) == null) return false;
    const at = packet.address;
    const last = load<u32>(at, 8);
    store<u64>(at, load<u64>(at), 4);
    store<u32>(at, last, 12);
    return packet.pull(VLAN_BYTES);
  }
}
