import {
  TABLE_ENTRY_AGES,
  TABLE_ENTRY_CAPACITY,
  TABLE_ENTRY_COPYING,
  TABLE_ENTRY_DIRTY,
  TABLE_ENTRY_ENTRIES,
  TABLE_ENTRY_HEADER,
  TABLE_ENTRY_SEED,
  TABLE_ENTRY_TAGS,
  TABLE_ENTRY_TAGS_MASK,
  TABLE_HEADER_CLOCK,
  TABLE_HEADER_COUNT,
  TABLE_HEADER_EVICTED,
  TABLE_HEADER_REFUSED,
  TABLE_HEADER_SEQUENCE,
} from './abi';

/**
 * Where a table lies, as the engine says it: 64 bytes in a page that a program can only read
 * (native/abi/src/table.rs). A table of a program *is* the address of its entry. The engine writes
 * it between two bursts, so nothing of it may be kept longer.
 */
@final
@unmanaged
export class TableEntry {
  /** The entry behind a table. */
  @inline
  static of<T>(table: T): TableEntry {
    return changetype<TableEntry>(changetype<usize>(table));
  }

  /** Tags; the root of an LPM; the elements of an array. */
  @inline
  get tags(): usize {
    return <usize>load<u32>(changetype<usize>(this), TABLE_ENTRY_TAGS);
  }

  /** Entries; the nodes of an LPM. */
  @inline
  get entries(): usize {
    return <usize>load<u32>(changetype<usize>(this), TABLE_ENTRY_ENTRIES);
  }

  /** Ages of an LRU table. */
  @inline
  get ages(): usize {
    return <usize>load<u32>(changetype<usize>(this), TABLE_ENTRY_AGES);
  }

  /** And-ed with a hash, the offset of a group's tags; bits of an LPM's root. */
  @inline
  get tagsMask(): u32 {
    return load<u32>(changetype<usize>(this), TABLE_ENTRY_TAGS_MASK);
  }

  /** Keys or elements at most. */
  @inline
  get capacity(): u32 {
    return load<u32>(changetype<usize>(this), TABLE_ENTRY_CAPACITY);
  }

  /** Where the hash begins. */
  @inline
  get seed(): u64 {
    return load<u64>(changetype<usize>(this), TABLE_ENTRY_SEED);
  }

  /** Says that the group of these tags changes: while somebody copies, that is taken again. */
  @inline
  mark(group: u32): void {
    if (load<u32>(changetype<usize>(this), TABLE_ENTRY_COPYING) == 0) return;
    store<u8>(<usize>load<u32>(changetype<usize>(this), TABLE_ENTRY_DIRTY) + (group >> 4), 1);
  }

  /** Keys in the table. */
  @inline
  get count(): u32 {
    return load<u32>(this.header, TABLE_HEADER_COUNT);
  }

  set count(count: u32) {
    store<u32>(this.header, count, TABLE_HEADER_COUNT);
  }

  /** Counts a new key that found no room. */
  @inline
  refuse(): void {
    const at = this.header;
    store<u64>(at, load<u64>(at, TABLE_HEADER_REFUSED) + 1, TABLE_HEADER_REFUSED);
  }

  /** Counts a key that made room for another. */
  @inline
  evict(): void {
    const at = this.header;
    store<u64>(at, load<u64>(at, TABLE_HEADER_EVICTED) + 1, TABLE_HEADER_EVICTED);
  }

  /** The next age: goes up with each use. */
  @inline
  tick(): u32 {
    const at = this.header;
    const clock = load<u32>(at, TABLE_HEADER_CLOCK) + 1;
    store<u32>(at, clock, TABLE_HEADER_CLOCK);
    return clock;
  }

  /** The age given last. */
  @inline
  get clock(): u32 {
    return load<u32>(this.header, TABLE_HEADER_CLOCK);
  }

  /** Begins a change: the sequence is odd until `end`, so that readers look again. */
  @inline
  begin(): void {
    const at = this.header;
    store<u32>(at, load<u32>(at, TABLE_HEADER_SEQUENCE) | 1, TABLE_HEADER_SEQUENCE);
  }

  /** Ends a change. */
  @inline
  end(): void {
    const at = this.header;
    store<u32>(at, load<u32>(at, TABLE_HEADER_SEQUENCE) + 1, TABLE_HEADER_SEQUENCE);
  }

  @inline
  private get header(): usize {
    return <usize>load<u32>(changetype<usize>(this), TABLE_ENTRY_HEADER);
  }
}
