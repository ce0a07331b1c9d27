import { TABLE_GROUP_CROWDED, TABLE_GROUP_ENTRIES, TABLE_TAG_BUSY, TABLE_TAG_USED } from './abi';
import { TableEntry } from './tableentry';
import { TableFields } from './tablefields';

/**
 * How a hash table finds, makes and frees entries (native/abi/src/table.rs). Everything is given
 * and returned as numbers: a value's address in the table's memory, or 0.
 *
 * `find` is what a packet pays: the tags of one group, one entry. Whatever is rarer (a wrong tag
 * before the right one, a key in its second group) is in functions of its own. Loops are kept out
 * of `find`: each is a check of the deadline.
 */
export class TableProbe {
  /** Bytes of an entry. */
  @inline
  static stride<K, V>(): u32 {
    return TableFields.padded<K>() + TableFields.padded<V>();
  }

  /** A key's group of two. */
  @inline
  static home(table: TableEntry, hash: u64): u32 {
    return <u32>hash & table.groupMask;
  }

  /** Its other group. */
  @inline
  static second(table: TableEntry, hash: u64): u32 {
    return <u32>(hash >> 32) & table.groupMask;
  }

  /** The tag of a hash. */
  @inline
  static tag(hash: u64): u8 {
    return <u8>((hash >> 57) | TABLE_TAG_USED);
  }

  /** A bit for each of a group's 15 tags that is `tag`. */
  @inline
  static match(table: TableEntry, group: u32, tag: u8): u32 {
    const tags = v128.load(table.tags + (group << 4));
    return <u32>i8x16.bitmask(i8x16.eq(tags, i8x16.splat(<i8>tag))) & 0x7fff;
  }

  /** Address of entry `index` of a group. */
  @inline
  static entry<K, V>(table: TableEntry, group: u32, index: u32): usize {
    const number = group * TABLE_GROUP_ENTRIES + index;
    return table.entries + number * TableProbe.stride<K, V>();
  }

  /** Address of the value of `key`, or 0; marks its group dirty if `marks`. */
  @inline
  static find<K, V>(table: TableEntry, key: K, hash: u64, marks: bool): usize {
    const group = TableProbe.home(table, hash);
    const hits = TableProbe.match(table, group, TableProbe.tag(hash));
    if (hits != 0) {
      const at = TableProbe.entry<K, V>(table, group, ctz(hits));
      if (TableFields.equal<K>(key, at)) {
        if (marks) table.mark(group);
        return at + TableFields.padded<K>();
      }
    }
    const overflows = load<u8>(table.tags + (group << 4), TABLE_GROUP_ENTRIES);
    if (((hits & (hits - 1)) | overflows) == 0) return 0;
    return findFurther<K, V>(table, key, hash, marks);
  }

  /**
   * A free entry for a new key of this hash: its value's address, or 0 and counted as refused. What
   * goes to the second group is counted in the first.
   */
  @inline
  static place<K, V>(table: TableEntry, hash: u64): usize {
    const slot = freeSlot(table, hash);
    if (slot == NO_SLOT) return 0;
    return TableProbe.entry<K, V>(table, slot >> 4, slot & 15) + TableFields.padded<K>();
  }

  /** Puts a tag to an entry that has been written: from now on it is there. */
  @inline
  static publish<K, V>(table: TableEntry, at: usize, hash: u64): void {
    const number = TableProbe.number<K, V>(table, at);
    const group = number / TABLE_GROUP_ENTRIES;
    if (group != TableProbe.home(table, hash)) addOverflow(table, hash);
    table.mark(group);
    store<u8>(table.tags + number + group, TableProbe.tag(hash));
    table.count++;
  }

  /** Writes the value at `at` anew; its tag says that it is being written. */
  @inline
  static change<K, V>(table: TableEntry, at: usize, value: V, hash: u64): void {
    const number = TableProbe.number<K, V>(table, at);
    const tag = table.tags + number + number / TABLE_GROUP_ENTRIES;
    table.begin();
    store<u8>(tag, <u8>TABLE_TAG_BUSY);
    TableFields.write<V>(value, at);
    store<u8>(tag, TableProbe.tag(hash));
    table.end();
  }

  /** Frees the entry whose value is at `at`. */
  @inline
  static free<K, V>(table: TableEntry, at: usize, hash: u64): void {
    const number = TableProbe.number<K, V>(table, at);
    const group = number / TABLE_GROUP_ENTRIES;
    table.begin();
    table.mark(group);
    store<u8>(table.tags + number + group, 0);
    table.count--;
    if (group != TableProbe.home(table, hash)) removeOverflow(table, hash);
    table.end();
  }

  /** The number of an entry, 15 to a group. */
  @inline
  static number<K, V>(table: TableEntry, at: usize): u32 {
    return <u32>(at - TableFields.padded<K>() - table.entries) / TableProbe.stride<K, V>();
  }
}

/** No entry: a slot is a group's number × 16 + that of its tag. */
const NO_SLOT: u32 = 0xffff_ffff;

function findFurther<K, V>(table: TableEntry, key: K, hash: u64, marks: bool): usize {
  let group = TableProbe.home(table, hash);
  const second = TableProbe.second(table, hash);
  const tag = TableProbe.tag(hash);
  while (true) {
    for (let hits = TableProbe.match(table, group, tag); hits != 0; hits &= hits - 1) {
      const at = TableProbe.entry<K, V>(table, group, ctz(hits));
      if (!TableFields.equal<K>(key, at)) continue;
      if (marks) table.mark(group);
      return at + TableFields.padded<K>();
    }
    if (group == second || load<u8>(table.tags + (group << 4), TABLE_GROUP_ENTRIES) == 0) return 0;
    group = second;
  }
}

function freeSlot(table: TableEntry, hash: u64): u32 {
  let group = TableProbe.home(table, hash);
  let free = TableProbe.match(table, group, 0);
  const used = TABLE_GROUP_ENTRIES - popcnt(free);
  if (used >= TABLE_GROUP_CROWDED) {
    const second = TableProbe.second(table, hash);
    const other = TableProbe.match(table, second, 0);
    if (popcnt(other) > popcnt(free)) {
      group = second;
      free = other;
    }
  }
  if (free == 0 || table.count >= table.capacity) {
    table.refuse();
    return NO_SLOT;
  }
  return (group << 4) | ctz(free);
}

/** 255 means 255 or more, and stays. */
function addOverflow(table: TableEntry, hash: u64): void {
  const home = TableProbe.home(table, hash);
  const at = table.tags + (home << 4) + TABLE_GROUP_ENTRIES;
  const overflows = load<u8>(at);
  if (overflows != 255) store<u8>(at, overflows + 1);
  table.mark(home);
}

function removeOverflow(table: TableEntry, hash: u64): void {
  const home = TableProbe.home(table, hash);
  const at = table.tags + (home << 4) + TABLE_GROUP_ENTRIES;
  const overflows = load<u8>(at);
  if (overflows != 255 && overflows != 0) store<u8>(at, overflows - 1);
  table.mark(home);
}
