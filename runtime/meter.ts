import { Clock } from './clock';

/** What a whole token is in a meter: its time is in nanoseconds. */
const TOKEN: u64 = 1_000_000_000;
/** So that twice as much fits into a u64. */
const BURST_MAX: u64 = (1 << 63) / TOKEN;

/**
 * How fast a {@link Meter} fills up again, and how much it holds. Make it at top level or in
 * `onLoad`; many meters may have one rate.
 *
 * ```ts
 * const perSource = new Rate(1_000, 50); // 1,000 a second, 50 at once
 * ```
 */
@final
export class Rate {
  /** Tokens that it holds: packets, bytes, whatever is taken. */
  readonly burst: u64;
  /** Tokens that come back in a second. */
  readonly perSecond: u64;
  /** `burst` in billionths. */
  readonly capacity: u64;
  /** After so many nanoseconds any meter is full. */
  readonly fullNs: u64;

  /** A burst of more than 9,223,372,036 is a fault; a rate of 0 never fills up again. */
  constructor(perSecond: u64, burst: u64) {
    if (burst > BURST_MAX) throw new RangeError('a burst is at most 9223372036 tokens');
    this.burst = burst;
    this.perSecond = perSecond;
    this.capacity = burst * TOKEN;
    this.fullNs = perSecond == 0 ? u64.MAX_VALUE : this.capacity / perSecond + 1;
  }
}

/**
 * A token bucket, to be a value of a table: one for each key, or one in all, by
 * `ArrayTable.of<Meter>('uplink', 1)`. All zeros is a full bucket, so a new one needs no making. It
 * counts billionths of a token, exactly: nothing is rounded, whatever the rate.
 *
 * ```ts
 * const perSource = new Rate(1_000, 50);
 * const sources = LruTable.of<u32, Meter>('sources', 65_536);
 * export function onPacket(packet: Packet): Verdict {
 *   const ip = Ipv4.of(packet);
 *   if (ip == null) return Verdict.Pass;
 *   return sources.getOrInsert(ip.source).take(perSource, 1) ? Verdict.Pass : Verdict.Drop;
 * }
 * ```
 */
export class Meter {
  /** Billionths of a token that are missing, as of `atNs`. */
  spent: u64 = 0;
  /** Nanoseconds: when something was taken, or was refused, last. */
  atNs: u64 = 0;

  /**
   * Takes `cost` tokens if they are there; false, and takes none, if not. Time that goes backwards
   * brings nothing back.
   */
  @inline
  take(rate: Rate, cost: u64, nowNs: u64 = Clock.nowNs): bool {
    const elapsedNs = nowNs > this.atNs ? nowNs - this.atNs : 0;
    let spent: u64 = 0;
    if (elapsedNs < rate.fullNs) {
      // No overflow: elapsed × rate is at most `capacity`.
      const back = elapsedNs * rate.perSecond;
      // Somebody else's rate, or a host, may have left more than this bucket holds.
      const missing = min(this.spent, rate.capacity);
      spent = missing > back ? missing - back : 0;
    }
    this.atNs = nowNs;
    const taken = cost <= rate.burst && spent + cost * TOKEN <= rate.capacity;
    this.spent = taken ? spent + cost * TOKEN : spent;
    return taken;
  }
}
