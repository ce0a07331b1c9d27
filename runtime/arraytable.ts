import { TABLE_ARRAY } from './abi';
import { TableEntry } from './tableentry';
import { TableFields } from './tablefields';
import { TableSpec } from './tablespec';

/**
 * Values by number, in memory that outlives the program as a {@link HashTable} does. All are there
 * from the beginning, as zeros. A number that is not below `length` is a fault.
 *
 * ```ts
 * class Port { packets: u64 = 0; bytes: u64 = 0; }
 * const ports = ArrayTable.of<Port>('ports', 64);
 * export function onPacket(packet: Packet): Verdict {
 *   const port = ports.at(packet.port);
 *   port.packets++;
 *   port.bytes += packet.length;
 *   return Verdict.Pass;
 * }
 * ```
 */
@final
@unmanaged
export class ArrayTable<V> {
  /** The array of this name, 1 to 64 bytes, with `length` values, 4 MiB of them at most. */
  static of<V>(name: string, length: u32): ArrayTable<V> {
    return changetype<ArrayTable<V>>(TableSpec.indexed<V>(name, TABLE_ARRAY, length));
  }

  /** Value `index`, for classes: a reference into the array, good until the call returns. */
  @inline
  at(index: u32): V {
    return changetype<V>(addressOf<V>(TableEntry.of(this), index));
  }

  /** Number `index`, for arrays of numbers. */
  @inline
  get(index: u32): V {
    return load<V>(addressOf<V>(TableEntry.of(this), index));
  }

  /** Gives number `index` this value, for arrays of numbers. */
  @inline
  set(index: u32, value: V): void {
    store<V>(addressOf<V>(TableEntry.of(this), index), value);
  }

  /** Adds to number `index`, for arrays of numbers. */
  @inline
  add(index: u32, amount: V): void {
    const at = addressOf<V>(TableEntry.of(this), index);
    store<V>(at, TableFields.sum<V>(load<V>(at), amount));
  }

  /** Values in the array. */
  @inline
  get length(): u32 {
    return TableEntry.of(this).capacity;
  }
}

function addressOf<V>(table: TableEntry, index: u32): usize {
  if (index >= table.capacity) throw new RangeError('no value of this index in the array');
  return table.tags + index * TableFields.padded<V>();
}
