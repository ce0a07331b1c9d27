import { TABLE_LRU } from './abi';
import { LruProbe } from './lruprobe';
import { TableEntry } from './tableentry';
import { TableFields } from './tablefields';
import { TableProbe } from './tableprobe';
import { TableSpec } from './tablespec';

/**
 * A {@link HashTable} that is never full: a new key takes the place of the one that was not used
 * for longest, among the 15 of its group. The capacity is what it holds at least before it gives up
 * anything, as long as keys spread evenly; it goes on taking keys where there is room. What was
 * given up is counted. Using a key is `get`, `getOr`, `getOrInsert`, `add` or `set`; `has` is none.
 *
 * ```ts
 * const seen = LruTable.of<u32, u64>('seen', 65_536);
 * export function onPacket(packet: Packet): Verdict {
 *   const ip = Ipv4.of(packet);
 *   if (ip != null) seen.set(ip.source, Clock.nowNs);
 *   return Verdict.Pass;
 * }
 * ```
 *
 * A reference that a table gave is good until its next `set`, `add`, `getOrInsert` or `delete`.
 */
@final
@unmanaged
export class LruTable<K, V> {
  /** The table of this name, 1 to 64 bytes, for `capacity` keys, 1 to 16,777,216. */
  static of<K, V>(name: string, capacity: u32): LruTable<K, V> {
    return changetype<LruTable<K, V>>(TableSpec.keyed<K, V>(name, TABLE_LRU, 0, capacity));
  }

  /** The value of `key`, for classes; null where there is none. */
  @inline
  get(key: K): V | null {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    return changetype<V | null>(LruProbe.find<K, V>(table, key, hash, true));
  }

  /** The number of `key`, for tables of numbers; `otherwise` where there is none. */
  @inline
  getOr(key: K, otherwise: V): V {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    const at = LruProbe.find<K, V>(table, key, hash, true);
    return at == 0 ? otherwise : load<V>(at);
  }

  /** Whether `key` has a value. */
  @inline
  has(key: K): bool {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    return LruProbe.find<K, V>(table, key, hash, false) != 0;
  }

  /** The value of `key`, for classes: a new one is all zeros. */
  @inline
  getOrInsert(key: K): V {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    let at = LruProbe.find<K, V>(table, key, hash, true);
    if (at == 0) at = insertZero<K, V>(table, key, hash);
    return changetype<V>(at);
  }

  /** Adds to the number of `key`, for tables of numbers; a new one begins at 0. */
  @inline
  add(key: K, amount: V): void {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    let at = LruProbe.find<K, V>(table, key, hash, true);
    if (at == 0) at = insertZero<K, V>(table, key, hash);
    store<V>(at, TableFields.sum<V>(load<V>(at), amount));
  }

  /**
   * Gives `key` this value, which is copied. Whoever reads the table meanwhile, or after the
   * process was killed, sees the old value or the new one.
   */
  @inline
  set(key: K, value: V): void {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    const at = LruProbe.find<K, V>(table, key, hash, true);
    if (at == 0) insert<K, V>(table, key, value, hash);
    else TableProbe.change<K, V>(table, at, value, hash);
  }

  /** Removes `key`. False when it was not there. */
  @inline
  delete(key: K): bool {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    const at = LruProbe.find<K, V>(table, key, hash, false);
    if (at == 0) return false;
    TableProbe.free<K, V>(table, at, hash);
    return true;
  }

  /** Keys in the table. */
  @inline
  get count(): u32 {
    return TableEntry.of(this).count;
  }

  /** Keys that it was opened for. */
  @inline
  get capacity(): u32 {
    return TableEntry.of(this).capacity;
  }
}

function insert<K, V>(table: TableEntry, key: K, value: V, hash: u64): void {
  table.begin();
  const at = LruProbe.place<K, V>(table, hash);
  TableFields.write<K>(key, at - TableFields.padded<K>());
  TableFields.write<V>(value, at);
  TableProbe.publish<K, V>(table, at, hash);
  table.end();
}

/** Address of the new value. */
function insertZero<K, V>(table: TableEntry, key: K, hash: u64): usize {
  table.begin();
  const at = LruProbe.place<K, V>(table, hash);
  TableFields.write<K>(key, at - TableFields.padded<K>());
  TableFields.clear<V>(at);
  TableProbe.publish<K, V>(table, at, hash);
  table.end();
  return at;
}
