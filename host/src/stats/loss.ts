/** Packets that did not get through between two readings: what a swap is measured by. */
import type { DropReason } from '../abi.js';
import type { Stats } from './stats.js';

/** Drops that a swap could be the reason of. */
const REASONS = ['fault', 'program_down', 'stopped', 'handover_full', 'no_frame'] as const;
/** What devices call packets that came while nobody took them. */
const MISSED = 'missed';

export interface PacketLoss {
  /** All of it. */
  packets: number;
  /** What devices could not deliver in time. */
  missed: number;
  /** Reasons that happened. */
  drops: Partial<Record<DropReason, number>>;
}

/**
 * What was lost between `before` and `after`. Counters lag behind by up to 100 bursts, so a loss
 * just before may be counted too, never one left out that `after` has.
 */
export function lossBetween(before: Stats, after: Stats): PacketLoss {
  const missed = total(after, missedOf) - total(before, missedOf);
  const drops: PacketLoss['drops'] = {};
  for (const reason of REASONS) {
    const count =
      total(after, ({ drops }) => drops[reason]) - total(before, ({ drops }) => drops[reason]);
    if (count > 0) drops[reason] = count;
  }
  const dropped = Object.values(drops).reduce((sum, count) => sum + count, 0);
  return { packets: missed + dropped, missed, drops };
}

type Port = Stats['ports'][string];

function missedOf({ xstats }: Port): number {
  return xstats[MISSED] ?? 0;
}

function total(stats: Stats, read: (port: Port) => number): number {
  return Object.values(stats.ports).reduce((sum, port) => sum + read(port), 0);
}
