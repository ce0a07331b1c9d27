/**
 * What a program decides about a packet. The numbers are the ABI's (`abi.ts`, `VERDICT_*`).
 *
 * ```ts
 * export function onPacket(packet: Packet): Verdict {
 *   return packet.length > 1500 ? Verdict.Drop : Verdict.Pass;
 * }
 * ```
 */
export enum Verdict {
  /** On to the next program; behind the last one, out by the port that `forward` pairs. */
  Pass = 0,
  /** Freed, and counted as a drop with reason `program`. */
  Drop = 1,
  /** Out by another port, past the programs that follow; see {@link Packet.redirect}. */
  Redirect = 2,
  /** To the port or handler that the config's `punt` names. */
  Punt = 3,
}
