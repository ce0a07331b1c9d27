import { TABLE_GROUP_CROWDED, TABLE_GROUP_ENTRIES, TABLE_TAG_BUSY, TABLE_TAG_USED } from './abi';
import { TableEntry } from './tableentry';
import { TableFields } from './tablefields';

/**
 * How a hash table finds, makes and frees entries (native/abi/src/table.rs). Everything is given
 * and returned as numbers: a group by the offset of its tags, a value by its address, or 0.
 *
 * `find` and `read` are what a packet pays: the tags of one group, one entry. They have no loop,
 * because each is a check of the deadline, and what is rare (a key in its second group) is in a
 * function of its own. Instructions count: the fewer, the more lookups of a burst overlap.
 */
export class TableProbe {
  /** Address of the value of `key`, or 0; says that its group changes if it `changes`. */
  @inline
  static find<K, V>(table: TableEntry, key: K, hash: u64, changes: bool): usize {
    const group = TableProbe.home(table, hash);
    const tags = table.tags + group;
    let hits = TableProbe.match(tags, TableProbe.tag(hash));
    if ((hits & ENTRIES) != 0) {
      let at = TableProbe.entry<K, V>(table, group, ctz(hits));
      if (TableFields.equal<K>(key, at)) {
        if (changes) table.mark(group);
        return at + TableFields.padded<K>();
      }
      // Of another key's tags, one in 128 is the same.
      hits &= hits - 1;
      if ((hits & ENTRIES) != 0) {
        at = TableProbe.entry<K, V>(table, group, ctz(hits));
        if (TableFields.equal<K>(key, at)) {
          if (changes) table.mark(group);
          return at + TableFields.padded<K>();
        }
        hits &= hits - 1;
      }
    }
    if (isEnd(tags, hits)) return 0;
    return findFurther<K, V>(table, key, hash, changes);
  }

  /** The number at the value of `key`, or `otherwise`. As `find`, with nothing behind it. */
  @inline
  static read<K, V>(table: TableEntry, key: K, hash: u64, otherwise: V): V {
    const group = TableProbe.home(table, hash);
    const tags = table.tags + group;
    let hits = TableProbe.match(tags, TableProbe.tag(hash));
    if ((hits & ENTRIES) != 0) {
      let at = TableProbe.entry<K, V>(table, group, ctz(hits));
      if (TableFields.equal<K>(key, at)) return load<V>(at + TableFields.padded<K>());
      hits &= hits - 1;
      if ((hits & ENTRIES) != 0) {
        at = TableProbe.entry<K, V>(table, group, ctz(hits));
        if (TableFields.equal<K>(key, at)) return load<V>(at + TableFields.padded<K>());
        hits &= hits - 1;
      }
    }
    if (isEnd(tags, hits)) return otherwise;
    const at = findFurther<K, V>(table, key, hash, false);
    return at == 0 ? otherwise : load<V>(at);
  }

  /**
   * A free entry for a new key of this hash: its value's address, or 0 and counted as refused. What
   * goes to the second group will be counted in the first.
   */
  @inline
  static place<K, V>(table: TableEntry, hash: u64): usize {
    const slot = freeSlot(table, hash);
    if (slot == NO_SLOT) return 0;
    const at = TableProbe.entry<K, V>(table, slot & ~15, slot & 15);
    return at + TableFields.padded<K>();
  }

  /** Puts a tag to an entry that has been written: from now on it is there. */
  @inline
  static publish<K, V>(table: TableEntry, at: usize, hash: u64): void {
    const slot = TableProbe.slot<K, V>(table, at);
    const group = slot & ~15;
    // Before the tag: whoever sees the key then also sees that it has to look for it.
    if (group != TableProbe.home(table, hash)) countOverflow(table, hash, 1);
    table.mark(group);
    store<u8>(table.tags + slot, TableProbe.tag(hash));
    table.count++;
  }

  /** Writes the value at `at` anew; its tag says that it is being written. */
  @inline
  static change<K, V>(table: TableEntry, at: usize, value: V, hash: u64): void {
    const tag = table.tags + TableProbe.slot<K, V>(table, at);
    table.begin();
    store<u8>(tag, <u8>TABLE_TAG_BUSY);
    TableFields.write<V>(value, at);
    store<u8>(tag, TableProbe.tag(hash));
    table.end();
  }

  /** Frees the entry whose value is at `at`. */
  @inline
  static free<K, V>(table: TableEntry, at: usize, hash: u64): void {
    const slot = TableProbe.slot<K, V>(table, at);
    const group = slot & ~15;
    table.begin();
    table.mark(group);
    store<u8>(table.tags + slot, 0);
    table.count--;
    if (group != TableProbe.home(table, hash)) countOverflow(table, hash, -1);
    table.end();
  }

  /** A key's first group. */
  @inline
  static home(table: TableEntry, hash: u64): u32 {
    return <u32>hash & table.tagsMask;
  }

  /** Its other group. */
  @inline
  static second(table: TableEntry, hash: u64): u32 {
    return <u32>(hash >> 32) & table.tagsMask;
  }

  /** The tag of a hash. */
  @inline
  static tag(hash: u64): u8 {
    return <u8>((hash >> 57) | TABLE_TAG_USED);
  }

  /** A bit for each of the 16 bytes at `tags` that is `tag`; the last is the overflow count's. */
  @inline
  static match(tags: usize, tag: u8): u32 {
    return <u32>i8x16.bitmask(i8x16.eq(v128.load(tags), i8x16.splat(<i8>tag)));
  }

  /** A bit for each free entry of a group. */
  @inline
  static freeOf(table: TableEntry, group: u32): u32 {
    return TableProbe.match(table.tags + group, 0) & ENTRIES;
  }

  /** Address of entry `index` of a group. */
  @inline
  static entry<K, V>(table: TableEntry, group: u32, index: u32): usize {
    const stride = TableFields.padded<K>() + TableFields.padded<V>();
    // The offset of its tags is 16 times the group's number; strides are multiples of 8.
    const start =
      stride % 16 == 0
        ? group * ((stride / 16) * TABLE_GROUP_ENTRIES)
        : (group >> 1) * ((stride / 8) * TABLE_GROUP_ENTRIES);
    return table.entries + start + index * stride;
  }

  /** The offset of the tag of the entry whose value is at `at`. */
  @inline
  static slot<K, V>(table: TableEntry, at: usize): u32 {
    const stride = TableFields.padded<K>() + TableFields.padded<V>();
    const number = <u32>(at - TableFields.padded<K>() - table.entries) / stride;
    return number + number / TABLE_GROUP_ENTRIES;
  }
}

/** The bits of a group's 15 tags. */
const ENTRIES: u32 = (1 << TABLE_GROUP_ENTRIES) - 1;
/** No place for a tag. */
const NO_SLOT: u32 = 0xffff_ffff;

/** Whether no hit is left and no key of the group is elsewhere. */
function isEnd(tags: usize, hits: u32): bool {
  return ((hits & ENTRIES) | load<u8>(tags, TABLE_GROUP_ENTRIES)) == 0;
}

function findFurther<K, V>(table: TableEntry, key: K, hash: u64, changes: bool): usize {
  let group = TableProbe.home(table, hash);
  const second = TableProbe.second(table, hash);
  const tag = TableProbe.tag(hash);
  while (true) {
    const tags = table.tags + group;
    let hits = TableProbe.match(tags, tag) & ENTRIES;
    for (; hits != 0; hits &= hits - 1) {
      const at = TableProbe.entry<K, V>(table, group, ctz(hits));
      if (!TableFields.equal<K>(key, at)) continue;
      if (changes) table.mark(group);
      return at + TableFields.padded<K>();
    }
    if (group == second || load<u8>(tags, TABLE_GROUP_ENTRIES) == 0) return 0;
    group = second;
  }
}

function freeSlot(table: TableEntry, hash: u64): u32 {
  let group = TableProbe.home(table, hash);
  let free = TableProbe.freeOf(table, group);
  const used = TABLE_GROUP_ENTRIES - popcnt(free);
  if (used >= TABLE_GROUP_CROWDED) {
    const second = TableProbe.second(table, hash);
    const other = TableProbe.freeOf(table, second);
    if (popcnt(other) > popcnt(free)) {
      group = second;
      free = other;
    }
  }
  if (free == 0 || table.count >= table.capacity) {
    table.refuse();
    return NO_SLOT;
  }
  return group | ctz(free);
}

/** Keys of the first group that are in their second: 255 means 255 or more, and stays. */
function countOverflow(table: TableEntry, hash: u64, by: i32): void {
  const group = TableProbe.home(table, hash);
  const at = table.tags + group + TABLE_GROUP_ENTRIES;
  const count = load<u8>(at);
  if (count != 255 && (by > 0 || count != 0)) store<u8>(at, <u8>(count + by));
  table.mark(group);
}
