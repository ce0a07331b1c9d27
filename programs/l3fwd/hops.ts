// Next hops, as settings say them: `port, MAC address of the next hop, our own`; several of one
// group with ` | ` between them share its flows (ECMP).

import { Address, Ethernet, FixedArray } from '@wirelet/runtime';

/** Hops of one group at most: their count and the first one's number share a word. */
const GROUP_MAX: i32 = 255;

export class Hops {
  /** By group: number of its first hop, and 8 bits with how many it has. */
  groups: FixedArray<u32> = FixedArray.of<u32>(0);
  ports: FixedArray<u16> = FixedArray.of<u16>(0);
  /** MAC addresses, of who is next and ours, as they stand in a packet. */
  addresses: FixedArray<u64> = FixedArray.of<u64>(0);
  addressesEnd: FixedArray<u32> = FixedArray.of<u32>(0);

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
    hops.ports = FixedArray.of<u16>(all.length);
    hops.addresses = FixedArray.of<u64>(all.length);
    hops.addressesEnd = FixedArray.of<u32>(all.length);
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
    this.ports.set(at, <u16>number);
    const source = Address.mac(parts[2].trim());
    this.addresses.set(at, Ethernet.firstBytes(Address.mac(parts[1].trim()), source));
    this.addressesEnd.set(at, Ethernet.lastBytes(source));
  }

  /** Whether there is a group of this number: `LpmTable.NONE` is none. */
  @inline
  has(group: u32): bool {
    return group < <u32>this.groups.length;
  }

  /** Whether a group has several hops: only then its packets need a hash. */
  @inline
  isShared(group: u32): bool {
    return (this.groups.get(group) & 0xff) > 1;
  }

  /** The first hop of a group; the only one, if it is not shared. */
  @inline
  first(group: u32): u32 {
    return this.groups.get(group) >> 8;
  }

  /** The hop of a group for a flow of this hash. */
  @inline
  choose(group: u32, hash: u32): u32 {
    const entry = this.groups.get(group);
    // The hash's share of the count: no division.
    return (entry >> 8) + <u32>((<u64>hash * (entry & 0xff)) >> 32);
  }
}
