// Next hops, as settings say them: `port, MAC address of the next hop, our own`; several of one
// group with ` | ` between them share its flows (ECMP).

import { Address } from '@wirelet/runtime';

/** Hops of one group at most: their count and the first one's number share a word. */
const GROUP_MAX: i32 = 255;

export class Hops {
  /** By group: number of its first hop, and 8 bits with how many it has. */
  groups: StaticArray<u32> = new StaticArray<u32>(0);
  ports: StaticArray<u16> = new StaticArray<u16>(0);
  /** MAC addresses: of who is next, and ours. */
  destinations: StaticArray<u64> = new StaticArray<u64>(0);
  sources: StaticArray<u64> = new StaticArray<u64>(0);

  /** Reads the setting. Text that is no hop is a fault that quotes it. */
  static of(texts: string[]): Hops {
    const hops = new Hops();
    const all = new Array<string>();
    hops.groups = new StaticArray<u32>(texts.length);
    for (let i = 0; i < texts.length; i++) {
      const group = texts[i].split('|');
      if (group.length > GROUP_MAX) throw new RangeError('a group has at most 255 hops');
      hops.groups[i] = ((<u32>all.length) << 8) | <u32>group.length;
      for (let j = 0; j < group.length; j++) all.push(group[j]);
    }
    hops.ports = new StaticArray<u16>(all.length);
    hops.destinations = new StaticArray<u64>(all.length);
    hops.sources = new StaticArray<u64>(all.length);
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
    this.ports[at] = <u16>number;
    this.destinations[at] = Address.mac(parts[1].trim());
    this.sources[at] = Address.mac(parts[2].trim());
  }

  /** Whether a group has several hops: only then its packets need a hash. */
  @inline
  isShared(group: u32): bool {
    return (this.groups[group] & 0xff) > 1;
  }

  /** The hop of a group for a flow of this hash. */
  @inline
  choose(group: u32, hash: u32): u32 {
    const entry = this.groups[group];
    // The hash's share of the count: no division.
    return (entry >> 8) + <u32>((<u64>hash * (entry & 0xff)) >> 32);
  }
}
