/** The first invariant: what came in has left, was dropped for a reason, or is still inside. */
import type { Stats } from './stats.js';

export interface PortConservation {
  rx: number;
  /** Packets that floods added. */
  copies: number;
  forwarded: number;
  dropped: number;
  /** rx + copies - forwarded - dropped: in flight; 0 after a stop, or packets were lost. */
  difference: number;
}

export interface Conservation {
  ports: Record<string, PortConservation>;
  /** Sum over ports. */
  difference: number;
  /** Every port's difference is 0. */
  exact: boolean;
}

/**
 * Compares what came in, and copies of it, with what left and what was dropped, port by port.
 *
 * ```ts
 * await appliance.stop();
 * assert(conservation(appliance.stats()).exact);
 * ```
 */
export function conservation(stats: Pick<Stats, 'ports'>): Conservation {
  const ports: Record<string, PortConservation> = {};
  for (const [name, { rx, copies, forwarded, dropped }] of Object.entries(stats.ports)) {
    const difference = rx + copies - forwarded - dropped;
    ports[name] = { rx, copies, forwarded, dropped, difference };
  }
  const differences = Object.values(ports).map((port) => port.difference);
  return {
    ports,
    difference: differences.reduce((total, one) => total + one, 0),
    exact: differences.every((one) => one === 0),
  };
}
