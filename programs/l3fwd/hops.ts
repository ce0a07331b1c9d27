// Next hops, as settings say them: `port, MAC address of the next hop, our own`; several of one
// group with ` | ` between them share its flows (ECMP).

import { Address, Ethernet, FixedArray, Packet, Verdict } from '@wirelet/runtime';

/** Hops of one group at most: their count and the first one's number share a word. */
const GROUP_MAX: i32 = 255;

export class Hops {
  /** No group: every group has a hop. */
  static readonly NONE: u32 = 0;

  /** By group: number of its first hop, and 8 bits with how many it has. */
  private groups: FixedArray<u32> = FixedArray.of<u32>(0);
  /** MAC addresses, of who is next and ours, as they stand in a packet: the first 8 bytes. */
  private firstBytes: FixedArray<u64> = FixedArray.of<u64>(0);
  /** The last 4 bytes, and above them the port: one read less for each packet. */
  private rest: FixedArray<u64> = FixedArray.of<u64>(0);

  /** Reads the setting. Text that is no hop is a fault that quotes it. */
  static of(texts: string[]): Hops {
    const hops = new Hops();
    const all = new Array<string>();
    hops.groups = FixedArray.of<u32>(texts.length);
    for (let i = 0; i < texts.length; i++) {
      const group = texts[i].split('|');
      if (group.length > GROUP_MAX) throw new RangeError('a group has at most 255 hops');
      hops.groups.set(i, ((<u32>all.length) << 8) | <u32>group.length);
      for (let j = 0; j < group.length; j++) all.push(group[j]);
    }
    hops.firstBytes = FixedArray.of<u64>(all.length);
    hops.rest = FixedArray.of<u64>(all.length);
    for (let i = 0; i < all.length; i++) hops.read(i, all[i]);
    return hops;
  }

  private read(at: i32, text: string): void {
    const parts = text.split(',');
    if (parts.length != 3) {
      throw new TypeError('"' + text + '" is no hop: port, MAC address of the next hop, our own');
    }
    const port = parts[0].trim();
    const number = port.length > 0 && port.length < 3 ? I32.parseInt(port) : -1;
    if (number < 0 || number.toString() != port) {
      throw new TypeError('"' + port + '" is no number of a port');
    }
    const source = Address.mac(parts[2].trim());
    this.firstBytes.set(at, Ethernet.firstBytes(Address.mac(parts[1].trim()), source));
    this.rest.set(at, ((<u64>number) << 32) | Ethernet.lastBytes(source));
  }

  /** What {@link send} takes: number of the first hop and how many there are, or {@link NONE}. */
  @inline
  group(number: u32): u32 {
    return number < <u32>this.groups.length ? this.groups.get(number) : Hops.NONE;
  }

  /** Whether a group has several hops: only then its packets need a hash. */
  @inline
  isShared(group: u32): bool {
    return (group & 0xff) > 1;
  }

  /** Sends a packet to the hop of a group for a flow of this hash. */
  @inline
  send(packet: Packet, group: u32, hash: u32): Verdict {
    // The hash's share of the count: no division.
    const hop = (group >> 8) + <u32>((<u64>hash * (group & 0xff)) >> 32);
    const rest = this.rest.get(hop);
    Ethernet.of(packet).setAddresses(this.firstBytes.get(hop), <u32>rest);
    return packet.redirect(<u32>(rest >> 32));
  }
}
