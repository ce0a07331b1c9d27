// Runs behind `mark` and never changes: counts how long it is from one burst's start to the next's.
import { Burst, Histogram, Verdict } from '@wirelet/runtime';

const gaps = Histogram.of('gaps');

let last: u64 = 0;

export function onBurst(burst: Burst): void {
  const now = burst.nowNs;
  if (last != 0) gaps.record(now - last);
  last = now;
  for (let i: u32 = 0; i < burst.count; i++) burst.packet(i).verdict = Verdict.Pass;
}
