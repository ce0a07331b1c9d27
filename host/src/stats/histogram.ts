/** Log-linear histograms of nanoseconds, as native/abi/src/histogram.rs fills them. */
import { HISTOGRAM_BUCKETS } from '../abi.js';

/** Buckets of one octave: 2 to this power. */
const SUB_BITS = 3;

/** What is said of a histogram: bounds that so many per cent of the values do not exceed. */
export interface Percentiles {
  count: number;
  p50: number;
  p90: number;
  p99: number;
  p999: number;
  max: number;
}

/** The least value that falls into bucket `index`. */
export function lowerBoundNs(index: number): number {
  if (index < 1 << SUB_BITS) return index;
  const octave = (index >> SUB_BITS) + SUB_BITS - 1;
  const sub = index & ((1 << SUB_BITS) - 1);
  return 2 ** octave + sub * 2 ** (octave - SUB_BITS);
}

/** Percentiles in ns, each the upper bound of its bucket; null when nothing was counted. */
export function percentiles(buckets: readonly number[]): Percentiles | null {
  const count = buckets.reduce((sum, value) => sum + value, 0);
  if (count === 0) return null;
  const rank = (share: number) => upperBoundNs(bucketOfRank(buckets, Math.ceil(share * count)));
  return {
    count,
    p50: rank(0.5),
    p90: rank(0.9),
    p99: rank(0.99),
    p999: rank(0.999),
    max: rank(1),
  };
}

function bucketOfRank(buckets: readonly number[], rank: number): number {
  let seen = 0;
  for (const [index, value] of buckets.entries()) {
    seen += value;
    if (seen >= rank) return index;
  }
  return HISTOGRAM_BUCKETS - 1;
}

function upperBoundNs(index: number): number {
  return lowerBoundNs(index + 1) - 1;
}
