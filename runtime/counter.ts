import { NAME_BYTES_MAX } from './abi';
import { Utf8 } from './utf8';
import { counter as open } from './wirelet';

/**
 * A 64-bit number that the host shows as `program/name`. Each lcore has its own, so adding needs no
 * lock: one load and one store. It outlives the program's generations. Open it at top level or in
 * `onLoad` (a fault later), add to it later (a fault while loading: it is not mapped yet). The same
 * name gives the same counter; a program has at most 1,024.
 *
 * ```ts
 * const queries = Counter.of('queries');
 * export function onPacket(packet: Packet): Verdict {
 *   queries.add(1);
 *   return Verdict.Pass;
 * }
 * ```
 */
@final
@unmanaged
export class Counter {
  /** The counter of this name: 1 to 64 bytes of UTF-8. */
  static of(name: string): Counter {
    const bytes = Utf8.encode(name, Utf8.address, NAME_BYTES_MAX + 4);
    if (bytes == 0 || bytes > NAME_BYTES_MAX) throw new RangeError('counter names have 1-64 bytes');
    return changetype<Counter>(<usize>open(<u32>Utf8.address, bytes));
  }

  /** Adds `n`; wraps around at 2^64. */
  @inline
  add(n: u64): void {
    store<u64>(changetype<usize>(this), load<u64>(changetype<usize>(this)) + n);
  }

  /** What this lcore has counted. */
  @inline
  get value(): u64 {
    return load<u64>(changetype<usize>(this));
  }
}
