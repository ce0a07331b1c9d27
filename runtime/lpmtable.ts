import { TABLE_LPM_NODE, TABLE_LPM4, TABLE_LPM6, TABLE_SHARED } from './abi';
import { TableEntry } from './tableentry';
import { TableSpec } from './tablespec';

/**
 * Values of 31 bits by IPv4 prefix, the longest that matches: routes, block lists. The host fills
 * it and changes it while packets flow; there is one for all lcores, to read only. A lookup is one
 * load for nearly every address of a large table, three at most.
 *
 * ```ts
 * const routes = LpmTable.shared('routes', 1_000_000);
 * export function onPacket(packet: Packet): Verdict {
 *   const ip = Ipv4.of(packet);
 *   if (ip == null) return Verdict.Pass;
 *   const port = routes.find(ip.destination);
 *   return port == LpmTable.NONE ? Verdict.Drop : packet.redirect(port as u16);
 * }
 * ```
 */
@final
@unmanaged
export class LpmTable {
  /** No prefix matches. */
  static readonly NONE: u32 = 0xffff_ffff;

  /** The table of this name, 1 to 64 bytes, for `capacity` prefixes, 1 to 16,777,216. */
  static shared(name: string, capacity: u32): LpmTable {
    return changetype<LpmTable>(TableSpec.prefixes(name, TABLE_LPM4, TABLE_SHARED, capacity, 4));
  }

  /** The value of the longest prefix that `address` begins with, or `NONE`. */
  @inline
  find(address: u32): u32 {
    const table = TableEntry.of(this);
    // Shifts count modulo 32: this is 32 less the root's bits.
    const shift = 0 - table.tagsMask;
    let entry = load<u32>(table.tags + ((address >> shift) << 2));
    if (entry >= TABLE_LPM_NODE) {
      entry = nodeEntry(table, entry, address >> (shift - 8));
      // Behind a root of 16 bits there may be one more; behind one of 24 the engine puts none.
      if (entry >= TABLE_LPM_NODE) entry = nodeEntry(table, entry, address);
    }
    return entry - 1;
  }

  /** Prefixes in the table. */
  @inline
  get count(): u32 {
    return TableEntry.of(this).count;
  }

  /** Prefixes that it was opened for. */
  @inline
  get capacity(): u32 {
    return TableEntry.of(this).capacity;
  }
}

/** {@link LpmTable} of IPv6: one load for the first bits, and one for each 8 that follow. */
@final
@unmanaged
export class Lpm6Table {
  /** No prefix matches. */
  static readonly NONE: u32 = 0xffff_ffff;

  /** The table of this name, 1 to 64 bytes, for `capacity` prefixes, 1 to 16,777,216. */
  static shared(name: string, capacity: u32): Lpm6Table {
    return changetype<Lpm6Table>(TableSpec.prefixes(name, TABLE_LPM6, TABLE_SHARED, capacity, 16));
  }

  /** As {@link LpmTable.find}; the address as `Ipv6` has it, upper and lower 64 bits. */
  @inline
  find(high: u64, low: u64): u32 {
    const table = TableEntry.of(this);
    const bits = table.tagsMask;
    const entry = load<u32>(table.tags + ((<u32>(high >> ((64 - bits) as u64))) << 2));
    return (entry >= TABLE_LPM_NODE ? descend(table, entry, bits, high, low) : entry) - 1;
  }

  /** Prefixes in the table. */
  @inline
  get count(): u32 {
    return TableEntry.of(this).count;
  }

  /** Prefixes that it was opened for. */
  @inline
  get capacity(): u32 {
    return TableEntry.of(this).capacity;
  }
}

/** Of a node, the entry that the last 8 bits of `bits` choose. */
function nodeEntry(table: TableEntry, node: u32, bits: u32): u32 {
  // The shift drops the bit that says that it is a node.
  return load<u32>(table.entries + (((node << 8) | (bits & 0xff)) << 2));
}

/** From the node that the first `at` bits lead to, on to an entry that is none. */
function descend(table: TableEntry, node: u32, at: u32, high: u64, low: u64): u32 {
  let entry = node;
  // The bits that follow, in front.
  let rest = high << (at as u64);
  for (; entry >= TABLE_LPM_NODE && at < 128; at += 8) {
    if (at == 64) rest = low;
    entry = nodeEntry(table, entry, <u32>(rest >> 56));
    rest <<= 8;
  }
  return entry;
}
