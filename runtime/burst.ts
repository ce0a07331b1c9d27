import {
  BURST_HEADER_COUNT,
  BURST_HEADER_GENERATION,
  BURST_HEADER_LCORE,
  BURST_HEADER_NOW_NS,
  SIZEOF_BURST_HEADER,
  SIZEOF_DESCRIPTOR,
} from './abi';
import { Packet } from './packet';

/**
 * The packets that one call works on, 1 to 256, for programs that want the whole burst. Give each
 * packet a verdict, in order: after a fault the packets that are decided keep theirs.
 *
 * ```ts
 * export function onBurst(burst: Burst): void {
 *   for (let i: u32 = 0; i < burst.count; i++) burst.packet(i).verdict = Verdict.Pass;
 * }
 * ```
 */
@final
@unmanaged
export class Burst {
  /** Packets in the burst. */
  @inline
  get count(): u32 {
    return load<u32>(changetype<usize>(this), BURST_HEADER_COUNT);
  }

  /** Index of the lcore that runs the burst. */
  @inline
  get lcore(): u32 {
    return load<u32>(changetype<usize>(this), BURST_HEADER_LCORE);
  }

  /** Number of the published pipeline. */
  @inline
  get generation(): u32 {
    return load<u32>(changetype<usize>(this), BURST_HEADER_GENERATION);
  }

  /** Nanoseconds of the monotonic clock when the burst started; the same for all its packets. */
  @inline
  get nowNs(): u64 {
    return load<u64>(changetype<usize>(this), BURST_HEADER_NOW_NS);
  }

  /** The packet at `index`; a fault when `index` is not below `count`. */
  @inline
  packet(index: u32): Packet {
    if (index >= this.count) outside();
    return changetype<Packet>(
      changetype<usize>(this) + SIZEOF_BURST_HEADER + index * SIZEOF_DESCRIPTOR,
    );
  }
}

function outside(): void {
  throw new RangeError('no packet of this index in the burst');
}
