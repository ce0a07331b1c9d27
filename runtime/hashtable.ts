import { TABLE_HASH, TABLE_SHARED } from './abi';
import { SharedTable } from './sharedtable';
import { TableEntry } from './tableentry';
import { TableFields } from './tablefields';
import { TableProbe } from './tableprobe';
import { TableSpec } from './tablespec';

/**
 * Values by key, in memory that outlives the program: a swap, a fault and, where the config says
 * so, the process. Each lcore has a table of its own. It never grows by itself and never allocates;
 * when it is full, new keys are refused and counted. Everything is inlined: a lookup is two cache
 * lines, and no call.
 *
 * Keys are integers, or classes whose fields are integers; values may have floats, too. Compared
 * are the fields' bytes, in the order of the fields. Open it at top level or in `onLoad`, use it
 * later: while loading it is out of reach.
 *
 * ```ts
 * class FlowKey { source: u32 = 0; destination: u32 = 0; }
 * class Flow { packets: u64 = 0; bytes: u64 = 0; }
 *
 * const flows = HashTable.of<FlowKey, Flow>('flows', 100_000);
 * const key = new FlowKey();
 *
 * export function onPacket(packet: Packet): Verdict {
 *   const ip = Ipv4.of(packet);
 *   if (ip == null) return Verdict.Pass;
 *   key.source = ip.source;
 *   key.destination = ip.destination;
 *   const flow = flows.getOrInsert(key);
 *   if (flow != null) flow.packets++;
 *   return Verdict.Pass;
 * }
 * ```
 *
 * A value that a table gave is a reference into it: write its fields in place. It is good until the
 * next `set`, `getOrInsert` or `delete` of the same table.
 */
@final
@unmanaged
export class HashTable<K, V> {
  /** The table of this name, 1 to 64 bytes, for at least `capacity` keys, 1 to 16,777,216. */
  static of<K, V>(name: string, capacity: u32): HashTable<K, V> {
    return changetype<HashTable<K, V>>(TableSpec.keyed<K, V>(name, TABLE_HASH, 0, capacity));
  }

  /** A table that the host fills, one for all lcores. */
  static shared<K, V>(name: string, capacity: u32): SharedTable<K, V> {
    const table = TableSpec.keyed<K, V>(name, TABLE_HASH, TABLE_SHARED, capacity);
    return changetype<SharedTable<K, V>>(table);
  }

  /** The value of `key`, for classes; null where there is none. */
  @inline
  get(key: K): V | null {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    return changetype<V | null>(TableProbe.find<K, V>(table, key, hash, true));
  }

  /** The number of `key`, for tables of numbers; `otherwise` where there is none. */
  @inline
  getOr(key: K, otherwise: V): V {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    return TableProbe.read<K, V>(table, key, hash, otherwise);
  }

  /** Whether `key` has a value. */
  @inline
  has(key: K): bool {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    return TableProbe.find<K, V>(table, key, hash, false) != 0;
  }

  /** The value of `key`, for classes: a new one is all zeros. Null when the table is full. */
  @inline
  getOrInsert(key: K): V | null {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    let at = TableProbe.find<K, V>(table, key, hash, true);
    if (at == 0) at = insertZero<K, V>(table, key, hash);
    return changetype<V | null>(at);
  }

  /** Adds to the number of `key`, for tables of numbers; a new one begins at 0. False when full. */
  @inline
  add(key: K, amount: V): bool {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    let at = TableProbe.find<K, V>(table, key, hash, true);
    if (at == 0) at = insertZero<K, V>(table, key, hash);
    if (at == 0) return false;
    store<V>(at, TableFields.sum<V>(load<V>(at), amount));
    return true;
  }

  /**
   * Gives `key` this value, which is copied. False when the table is full. Whoever reads the table
   * meanwhile, or after the process was killed, sees the old value or the new one.
   */
  @inline
  set(key: K, value: V): bool {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    const at = TableProbe.find<K, V>(table, key, hash, true);
    if (at == 0) return insert<K, V>(table, key, value, hash);
    TableProbe.change<K, V>(table, at, value, hash);
    return true;
  }

  /** Removes `key`. False when it was not there. */
  @inline
  delete(key: K): bool {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    const at = TableProbe.find<K, V>(table, key, hash, false);
    if (at == 0) return false;
    TableProbe.free<K, V>(table, at, hash);
    return true;
  }

  /** Keys in the table. */
  @inline
  get count(): u32 {
    return TableEntry.of(this).count;
  }

  /** Keys that it holds at most. */
  @inline
  get capacity(): u32 {
    return TableEntry.of(this).capacity;
  }
}

/** The entry's tag is its last byte to be written: a half-written one is a free one. */
function insert<K, V>(table: TableEntry, key: K, value: V, hash: u64): bool {
  const at = TableProbe.place<K, V>(table, hash);
  if (at == 0) return false;
  table.begin();
  TableFields.write<K>(key, at - TableFields.padded<K>());
  TableFields.write<V>(value, at);
  TableProbe.publish<K, V>(table, at, hash);
  table.end();
  return true;
}

/** Address of the new value, or 0. */
function insertZero<K, V>(table: TableEntry, key: K, hash: u64): usize {
  const at = TableProbe.place<K, V>(table, hash);
  if (at == 0) return 0;
  table.begin();
  TableFields.write<K>(key, at - TableFields.padded<K>());
  TableFields.clear<V>(at);
  TableProbe.publish<K, V>(table, at, hash);
  table.end();
  return at;
}
