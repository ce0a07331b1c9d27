import { TABLE_GROUP_ENTRIES, TABLE_TAG_BUSY } from './abi';
import { TableEntry } from './tableentry';
import { TableFields } from './tablefields';
import { TableProbe } from './tableprobe';

/**
 * How an LRU table finds and makes entries. As {@link TableProbe}, but a key has one group only,
 * and each of its entries an age: what the table's clock showed when it was last used. An age is
 * told from the clock by its distance, so that the clock may wrap; after 2^32 uses without its own
 * an entry counts as young again.
 */
export class LruProbe {
  /** Address of the value of `key`, or 0; it becomes the youngest if this `uses` it. */
  @inline
  static find<K, V>(table: TableEntry, key: K, hash: u64, uses: bool): usize {
    const group = TableProbe.home(table, hash);
    let hits = TableProbe.match(table.tags + group, TableProbe.tag(hash)) & ENTRIES;
    if (hits == 0) return 0;
    const at = TableProbe.entry<K, V>(table, group, ctz(hits));
    if (TableFields.equal<K>(key, at)) {
      if (uses) LruProbe.touch(table, group, ctz(hits));
      return at + TableFields.padded<K>();
    }
    hits &= hits - 1;
    if (hits == 0) return 0;
    return findFurther<K, V>(table, key, hash, uses);
  }

  /**
   * An entry for a new key of this hash: its value's address. It is the youngest. If it was in use,
   * its old key is gone.
   */
  @inline
  static place<K, V>(table: TableEntry, hash: u64): usize {
    const group = TableProbe.home(table, hash);
    const index = room(table, group);
    return TableProbe.entry<K, V>(table, group, index) + TableFields.padded<K>();
  }

  /** Makes an entry the youngest. */
  @inline
  static touch(table: TableEntry, group: u32, index: u32): void {
    store<u32>(table.ages + ((group + index) << 2), table.tick());
    table.mark(group);
  }
}

/** The bits of a group's 15 tags. */
const ENTRIES: u32 = (1 << TABLE_GROUP_ENTRIES) - 1;

function findFurther<K, V>(table: TableEntry, key: K, hash: u64, uses: bool): usize {
  const group = TableProbe.home(table, hash);
  const tag = TableProbe.tag(hash);
  const all = TableProbe.match(table.tags + group, tag) & ENTRIES;
  for (let hits = all; hits != 0; hits &= hits - 1) {
    const at = TableProbe.entry<K, V>(table, group, ctz(hits));
    if (!TableFields.equal<K>(key, at)) continue;
    if (uses) LruProbe.touch(table, group, ctz(hits));
    return at + TableFields.padded<K>();
  }
  return 0;
}

/** A free entry of the group, or the one that was not used for longest, freed. */
function room(table: TableEntry, group: u32): u32 {
  const free = TableProbe.freeOf(table, group);
  let index = <u32>ctz(free);
  if (free == 0) {
    index = oldest(table, group);
    store<u8>(table.tags + group + index, <u8>TABLE_TAG_BUSY);
    table.evict();
    table.count--;
  }
  LruProbe.touch(table, group, index);
  return index;
}

/** The index of the age that is furthest from the clock. */
function oldest(table: TableEntry, group: u32): u32 {
  const at = table.ages + (group << 2);
  const clock = i32x4.splat(<i32>table.clock);
  const idle0 = i32x4.sub(clock, v128.load(at));
  const idle1 = i32x4.sub(clock, v128.load(at, 16));
  const idle2 = i32x4.sub(clock, v128.load(at, 32));
  // The 16th is no age.
  const idle3 = v128.and(i32x4.sub(clock, v128.load(at, 48)), i32x4(-1, -1, -1, 0));
  let most = i32x4.max_u(i32x4.max_u(idle0, idle1), i32x4.max_u(idle2, idle3));
  most = i32x4.max_u(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
  most = i32x4.max_u(most, v128.shuffle<i32>(most, most, 1, 0, 3, 2));
  const low = i32x4.bitmask(i32x4.eq(idle0, most)) | (i32x4.bitmask(i32x4.eq(idle1, most)) << 4);
  const high = i32x4.bitmask(i32x4.eq(idle2, most)) | (i32x4.bitmask(i32x4.eq(idle3, most)) << 4);
  return ctz(<u32>(low | (high << 8)));
}
