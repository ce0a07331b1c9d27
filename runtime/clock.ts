import { BURST_HEADER_NOW_NS, BURST_PAGE } from './abi';

/**
 * The time of the burst that is being worked on, for `onPacket`.
 *
 * ```ts
 * flow.lastNs = Clock.nowNs;
 * ```
 */
export class Clock {
  /**
   * Nanoseconds of the monotonic clock when the burst started; the same for all its packets. A
   * fault while loading: there is no burst yet.
   */
  @inline
  static get nowNs(): u64 {
    return load<u64>(BURST_PAGE, BURST_HEADER_NOW_NS);
  }
}
