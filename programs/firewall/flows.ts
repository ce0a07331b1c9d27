// The flows that a rule has allowed, both directions of each in one entry.
//
// Those that nobody has answered are in tables of their own: whoever sends no end of first packets
// drives out others' first packets, and no flow that works.

import { Clock, LruTable, Protocol, Settings } from '@wirelet/runtime';
import { Tuple } from './tuple';

const NS_PER_SECOND: u64 = 1_000_000_000;

/** How far a flow has come. TCP has all of these, other protocols the first and `Established`. */
export enum State {
  /** Nothing came back yet. */
  Opening = 0,
  /** TCP: both ends have sent a SYN without ACK (RFC 9293, 3.5). */
  OpeningBoth,
  /** TCP: SYN and ACK came. */
  Answered,
  Established,
  /** TCP: one end has sent its FIN. */
  Closing,
  /** TCP: both have, or one has sent RST. */
  Closed,
}

export class Key4 {
  /** Of the end that comes first, upper half, and of the other. */
  addresses: u64 = 0;
  /** 20 bits for each port, the first end's highest; 8 for the protocol. */
  rest: u64 = 0;
}

export class Key6 {
  firstHigh: u64 = 0;
  firstLow: u64 = 0;
  secondHigh: u64 = 0;
  secondLow: u64 = 0;
  rest: u64 = 0;
}

export class Flow {
  /** When its last packet passed, ns of the monotonic clock. */
  lastNs: u64 = 0;
  /** {@link State}. */
  state: i32 = 0;
  /** 1 where the end that comes second has opened it. */
  opener: u8 = 0;
  /** TCP, who has sent its FIN: 1 the opener, 2 the other. */
  finished: u8 = 0;
}

const capacity = Settings.u32('capacity', 65536);
const openingCapacity = max(capacity >> 2, 1);
const flows4 = LruTable.of<Key4, Flow>('flows4', capacity);
const flows6 = LruTable.of<Key6, Flow>('flows6', capacity);
const opening4 = LruTable.of<Key4, Flow>('opening4', openingCapacity);
const opening6 = LruTable.of<Key6, Flow>('opening6', openingCapacity);
const key4 = new Key4();
const key6 = new Key6();

/** A flow may be quiet for so long. Established TCP: RFC 5382, REQ-5; UDP: RFC 4787, REQ-5. */
const establishedNs = secondsOf('tcpSeconds', 7440);
const udpNs = secondsOf('udpSeconds', 180);
const OPENING_NS: u64 = 120 * NS_PER_SECOND;
const ANSWERED_NS: u64 = 60 * NS_PER_SECOND;
const CLOSING_NS: u64 = 120 * NS_PER_SECOND;
const CLOSED_NS: u64 = 10 * NS_PER_SECOND;
const UNANSWERED_NS: u64 = 30 * NS_PER_SECOND;
const QUERY_NS: u64 = 30 * NS_PER_SECOND;
const OTHER_NS: u64 = 600 * NS_PER_SECOND;

/** The tables of flows. A flow that one gave is good until the next `open`, `settle`, `remove`. */
export class Flows {
  /** The flow of a packet; null when there is none, or it has been quiet for too long. */
  static find(tuple: Tuple): Flow | null {
    let flow: Flow | null;
    if (tuple.isIpv6) {
      fillKey6(tuple);
      flow = flows6.get(key6);
      if (flow == null) flow = opening6.get(key6);
    } else {
      fillKey4(tuple);
      flow = flows4.get(key4);
      if (flow == null) flow = opening4.get(key4);
    }
    if (flow == null || Clock.nowNs - flow.lastNs > quietNs(tuple.protocol, flow)) return null;
    return flow;
  }

  /** Begins a flow with the packet that `find` found none for, in place of an old one. */
  static open(tuple: Tuple): void {
    Flows.remove(tuple);
    const flow = tuple.isIpv6 ? opening6.getOrInsert(key6) : opening4.getOrInsert(key4);
    flow.lastNs = Clock.nowNs;
    flow.state = State.Opening;
    flow.opener = tuple.isTurned ? 1 : 0;
    flow.finished = 0;
  }

  /** The flow that `find` has found works: both ends have shown that they want it. */
  static settle(tuple: Tuple, flow: Flow): void {
    flow.state = State.Established;
    // It is copied before its place is given up.
    if (tuple.isIpv6) {
      flows6.set(key6, flow);
      opening6.delete(key6);
    } else {
      flows4.set(key4, flow);
      opening4.delete(key4);
    }
  }

  /** Ends the flow that `find` has looked for. */
  static remove(tuple: Tuple): void {
    if (tuple.isIpv6) {
      if (!opening6.delete(key6)) flows6.delete(key6);
    } else {
      if (!opening4.delete(key4)) flows4.delete(key4);
    }
  }

  /** Whether the packet goes the way of the one that opened the flow. */
  static isForward(flow: Flow, tuple: Tuple): bool {
    return (flow.opener != 0) == tuple.isTurned;
  }
}

/** How long a flow may be quiet. */
function quietNs(protocol: u32, flow: Flow): u64 {
  const state = flow.state;
  if (protocol == Protocol.Tcp) {
    if (state == State.Established) return establishedNs;
    if (state == State.Closing) return CLOSING_NS;
    // With two FINs it waits for what was late; behind a RST nothing is worth waiting for.
    if (state == State.Closed) return flow.finished == 3 ? CLOSING_NS : CLOSED_NS;
    return state == State.Answered ? ANSWERED_NS : OPENING_NS;
  }
  if (protocol == Protocol.Udp) return state == State.Established ? udpNs : UNANSWERED_NS;
  return protocol == Protocol.Icmp || protocol == Protocol.Icmpv6 ? QUERY_NS : OTHER_NS;
}

function fillKey4(tuple: Tuple): void {
  const isTurned = tuple.turn();
  const first = isTurned ? tuple.destinationLow : tuple.sourceLow;
  key4.addresses = (first << 32) | (isTurned ? tuple.sourceLow : tuple.destinationLow);
  key4.rest = restOf(tuple, isTurned);
}

function fillKey6(tuple: Tuple): void {
  const isTurned = tuple.turn();
  key6.firstHigh = isTurned ? tuple.destinationHigh : tuple.sourceHigh;
  key6.firstLow = isTurned ? tuple.destinationLow : tuple.sourceLow;
  key6.secondHigh = isTurned ? tuple.sourceHigh : tuple.destinationHigh;
  key6.secondLow = isTurned ? tuple.sourceLow : tuple.destinationLow;
  key6.rest = restOf(tuple, isTurned);
}

function restOf(tuple: Tuple, isTurned: bool): u64 {
  const first = isTurned ? tuple.destinationPort : tuple.sourcePort;
  const second = isTurned ? tuple.sourcePort : tuple.destinationPort;
  return ((<u64>first) << 28) | ((<u64>second) << 8) | tuple.protocol;
}

function secondsOf(name: string, otherwise: u32): u64 {
  return <u64>Settings.u32(name, otherwise) * NS_PER_SECOND;
}
