import { HISTOGRAM_BUCKETS, HISTOGRAM_SUB_BITS, TABLE_ARRAY } from './abi';
import { TableEntry } from './tableentry';
import { TableSpec } from './tablespec';

/** A bucket of a {@link Histogram}: how many values fell into it. */
export class HistogramBucket {
  count: u64 = 0;
}

/**
 * How often values of each size came: 256 log-linear buckets, each at most 12.5 % wide, as the
 * engine counts times (native/abi/src/histogram.rs). For nanoseconds, or anything else up to 2^34;
 * more falls into the last bucket. It outlives the program as a {@link HashTable} does; an lcore
 * has its own, and the host sums them.
 *
 * ```ts
 * const lengths = Histogram.of('lengths');
 * export function onPacket(packet: Packet): Verdict {
 *   lengths.record(packet.length);
 *   return Verdict.Pass;
 * }
 * ```
 */
@final
@unmanaged
export class Histogram {
  /** The histogram of this name, 1 to 64 bytes. */
  static of(name: string): Histogram {
    return changetype<Histogram>(
      TableSpec.indexed<HistogramBucket>(name, TABLE_ARRAY, HISTOGRAM_BUCKETS),
    );
  }

  /** Counts a value: no loop, no division. */
  @inline
  record(value: u64): void {
    const at = TableEntry.of(this).tags + (Histogram.bucket(value) << 3);
    store<u64>(at, load<u64>(at) + 1);
  }

  /** How many values fell into bucket `index`; 0 where there is no such bucket. */
  @inline
  count(index: u32): u64 {
    if (index >= HISTOGRAM_BUCKETS) return 0;
    return load<u64>(TableEntry.of(this).tags + (index << 3));
  }

  /** The bucket that `value` falls into. */
  @inline
  static bucket(value: u64): u32 {
    // Values below the first octave's end are their own buckets: as if they had its octave.
    const octave = 63 - <u32>clz(value | (1 << HISTOGRAM_SUB_BITS));
    const shift = octave - HISTOGRAM_SUB_BITS;
    const index = (shift << HISTOGRAM_SUB_BITS) + <u32>(value >> (shift as u64));
    return min(index, HISTOGRAM_BUCKETS - 1);
  }
}
