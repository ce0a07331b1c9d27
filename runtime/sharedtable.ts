import { TableEntry } from './tableentry';
import { TableFields } from './tablefields';
import { TableProbe } from './tableprobe';

/**
 * A table that the host fills and replaces while packets flow, one for all lcores, and that a
 * program can only read: a write to one of its values is a fault. `HashTable.shared` opens one.
 *
 * ```ts
 * const blocked = HashTable.shared<u32, u32>('blocked', 100_000);
 * export function onPacket(packet: Packet): Verdict {
 *   const ip = Ipv4.of(packet);
 *   return ip != null && blocked.has(ip.source) ? Verdict.Drop : Verdict.Pass;
 * }
 * ```
 */
@final
@unmanaged
export class SharedTable<K, V> {
  /** The value of `key`, for classes; null where there is none. To read only. */
  @inline
  get(key: K): V | null {
    const table = TableEntry.of(this);
    const hash = TableFields.hash<K>(key, table.seed);
    return changetype<V | null>(TableProbe.find<K, V>(table, key, hash, false));
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
