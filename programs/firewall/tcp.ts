// What TCP segments make of a flow (RFC 9293, 3.3.2, as somebody between the two ends sees it).
// Sequence numbers are not looked at.

import { TcpFlag } from '@wirelet/runtime';
import { Flow, State } from './flows';

/** What a segment is, by its flags. */
export enum Segment {
  /** Flags that no end sends together. */
  Invalid = 0,
  Syn,
  SynAck,
  Ack,
  Fin,
  Rst,
}

/** What becomes of the segment and its flow. */
export enum Step {
  Pass = 0,
  /** It passes, and the flow is over. */
  Remove,
  /** It passes, and the flow is open. */
  Settle,
  /** It makes no sense where the flow is now. */
  Refuse,
}

const SYN: u32 = TcpFlag.Syn;
const ACK: u32 = TcpFlag.Ack;
const FIN: u32 = TcpFlag.Fin;
const RST: u32 = TcpFlag.Rst;
const URG: u32 = TcpFlag.Urg;

/** The segment that these flags make. PSH and the two of ECN change nothing. */
export function segmentOf(flags: u32): Segment {
  const basic = flags & (SYN | ACK | FIN | RST | URG);
  if (basic == ACK || basic == (ACK | URG)) return Segment.Ack;
  if (basic == SYN || basic == (SYN | URG)) return Segment.Syn;
  if (basic == (SYN | ACK)) return Segment.SynAck;
  if (basic == (FIN | ACK) || basic == (FIN | ACK | URG)) return Segment.Fin;
  return basic == RST || basic == (RST | ACK) ? Segment.Rst : Segment.Invalid;
}

/**
 * Takes a segment into account. A SYN to a closed flow is none of its: it may open another one. A
 * segment that one end may answer with RST or SYN and ACK passes, and changes nothing: only so two
 * ends that disagree find out.
 */
export function step(flow: Flow, segment: Segment, isForward: bool): Step {
  const state = flow.state;
  const isOpening = state == State.Opening || state == State.OpeningBoth;
  if (segment == Segment.Rst) {
    if (state == State.Opening) return Step.Remove;
    flow.state = State.Closed;
    return Step.Pass;
  }
  if (segment == Segment.Syn) {
    if (isForward) return Step.Pass;
    if (!isOpening) return Step.Refuse;
    flow.state = State.OpeningBoth;
    return Step.Pass;
  }
  if (segment == Segment.SynAck) {
    // The opener answers with its own SYN only where both have sent one.
    if (isForward && state != State.OpeningBoth && state != State.Answered) return Step.Refuse;
    if (isOpening) flow.state = State.Answered;
    return Step.Pass;
  }
  if (isOpening) return isForward || segment == Segment.Fin ? Step.Refuse : Step.Pass;
  if (segment == Segment.Fin) {
    flow.finished |= isForward ? 1 : 2;
    if (state != State.Closed) flow.state = flow.finished == 3 ? State.Closed : State.Closing;
  } else if (isForward && state == State.Answered) {
    return Step.Settle;
  }
  return Step.Pass;
}
