/** What became of a packet in a test. */
import { EGRESS_FLOOD, type Verdict } from '../abi.js';
import { packetText } from '../packet/text.js';

export interface Outcome {
  /** The packet as it was sent. */
  sent: Uint8Array;
  /** Undecided: an `onBurst` that gave it no verdict. */
  verdict: Verdict | 'undecided';
  /** The packet as the program left it. */
  packet: Uint8Array;
  /** Number of the port that it is redirected to, or `FLOOD`; 0 for other verdicts. */
  egress: number;
  /** The 32 bits that travel with it. */
  mark: number;
}

/** Whether it goes on: to the next program, or out by a port. */
export function isForwarded({ verdict }: Outcome): boolean {
  return verdict === 'pass' || verdict === 'redirect';
}

/** `was dropped`. */
export function fateText({ verdict, egress }: Outcome): string {
  const texts: Record<Outcome['verdict'], string> = {
    pass: 'passed',
    drop: 'was dropped',
    redirect: egress === EGRESS_FLOOD ? 'was flooded' : `was redirected to port ${egress}`,
    punt: 'was punted',
    undecided: 'was left undecided',
  };
  return texts[verdict];
}

/** `packet 2 of 3: IP 10.0.0.1.1000 > ...`; one packet has no number. */
export function sentText(sent: readonly Uint8Array[], index: number): string {
  const packet = sent[index];
  const text = packet === undefined ? '' : packetText(packet);
  return sent.length === 1 ? text : `packet ${index + 1} of ${sent.length}: ${text}`;
}
