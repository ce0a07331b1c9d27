// A stateful firewall for IPv4 and IPv6. The flow table is asked first; what belongs to no flow
// goes through the rules. README.md says what passes.

import {
  Clock,
  Counter,
  EthernetPayload,
  EtherType,
  IPV6_BYTES,
  IpPayload,
  Ipv4,
  Ipv6,
  Packet,
  Protocol,
  Settings,
  Tcp,
  UDP_BYTES,
  Udp,
  Verdict,
} from '@wirelet/runtime';
import { Flows, State } from './flows';
import { Fragments } from './fragments';
import { Icmp, Message } from './icmp';
import { Answer, Rules } from './rules';
import { Segment, Step, segmentOf, step } from './tcp';
import { Tuple } from './tuple';

const ICMP_HEADER_BYTES: u32 = 8;
const EXTENSIONS_MAX = 16;

const passesOther = Settings.boolean('passOther', false);
const tuple = new Tuple();

const established = Counter.of('established');
const opened = Counter.of('opened');
const related = Counter.of('related');
const stateless = Counter.of('stateless');
const neighbours = Counter.of('neighbours');
const fragments = Counter.of('fragments');
const other = Counter.of('other');
const denied = Counter.of('denied');
const unmatched = Counter.of('unmatched');
const stray = Counter.of('stray');
const invalid = Counter.of('invalid');
const malformed = Counter.of('malformed');
const orphans = Counter.of('orphans');

export function onPacket(packet: Packet): Verdict {
  const payload = EthernetPayload.of(packet);
  let passes: bool;
  if (payload.type == EtherType.Ipv4) passes = passesIpv4(packet, payload.offset);
  else if (payload.type == EtherType.Ipv6) passes = passesIpv6(packet, payload.offset);
  else if (payload.type == EtherType.Arp) passes = pass(neighbours);
  else passes = passesOther ? pass(other) : drop(other);
  return passes ? Verdict.Pass : Verdict.Drop;
}

function passesIpv4(packet: Packet, offset: u32): bool {
  const ip = Ipv4.of(packet, offset);
  if (ip == null) return drop(malformed);
  tuple.readIpv4(packet, offset);
  tuple.arrival = packet.port;
  tuple.protocol = ip.protocol;
  const start = offset + ip.headerLength;
  const end = offset + ip.totalLength;
  if (!ip.isFragment) return decide(packet, start, end, false);
  const identification = ip.identification;
  if (ip.isLaterFragment) {
    const place = (<u32>packet.readU16(offset + 6) & 0x1fff) << 3;
    return passesLater(identification, place);
  }
  return passesFirst(packet, start, end, end - start, identification);
}

function passesIpv6(packet: Packet, offset: u32): bool {
  const ip = Ipv6.of(packet, offset);
  const payload = IpPayload.ofIpv6(packet, offset);
  if (ip == null || payload == null) return drop(malformed);
  tuple.readIpv6(packet, offset);
  tuple.arrival = packet.port;
  tuple.protocol = payload.protocol;
  const start = payload.offset;
  const end = offset + IPV6_BYTES + ip.payloadLength;
  // The walk over extension headers ends before one that is cut off.
  if (start > end || (isExtension(payload.protocol) && !payload.isLaterFragment)) {
    return drop(malformed);
  }
  if (!payload.isFragment) return decide(packet, start, end, false);
  const header = fragmentHeader(packet, offset);
  if (header == 0) return drop(malformed);
  const identification = packet.readU32(header + 4);
  if (payload.isLaterFragment) {
    return passesLater(identification, <u32>packet.readU16(header + 2) & 0xfff8);
  }
  return passesFirst(packet, start, end, end - header - 8, identification);
}

/** Where the fragment header of the IPv6 packet at `offset` is; 0 when there is none. */
function fragmentHeader(packet: Packet, offset: u32): u32 {
  let next: u32 = packet.readU8(offset + 6);
  let at = offset + IPV6_BYTES;
  for (let i = 0; i < EXTENSIONS_MAX && packet.has(at, 8); i++) {
    if (next == Protocol.Fragment) return at;
    if (!isExtension(next) || next == Protocol.Authentication) return 0;
    next = packet.readU8(at);
    at += (<u32>packet.readU8(at + 1) + 1) << 3;
  }
  return 0;
}

function isExtension(protocol: u32): bool {
  return (
    protocol == Protocol.HopByHop ||
    protocol == Protocol.Routing ||
    protocol == Protocol.Fragment ||
    protocol == Protocol.Destination ||
    protocol == Protocol.Authentication
  );
}

function passesFirst(packet: Packet, start: u32, end: u32, bytes: u32, identification: u32): bool {
  const passes = decide(packet, start, end, true);
  Fragments.remember(tuple, identification, bytes, passes);
  return passes;
}

function passesLater(identification: u32, place: u32): bool {
  return Fragments.passes(tuple, identification, place) ? pass(fragments) : drop(orphans);
}

/** Decides a packet whose payload is between `start` and `end`, or a first fragment. */
function decide(packet: Packet, start: u32, end: u32, isFragment: bool): bool {
  const protocol = tuple.protocol;
  if (protocol == Protocol.Tcp) return passesTcp(packet, start, end);
  if (protocol == Protocol.Udp) {
    const udp = Udp.of(packet, start);
    if (udp == null || start + UDP_BYTES > end || udp.length < UDP_BYTES) return drop(malformed);
    if (!isFragment && start + udp.length > end) return drop(malformed);
    tuple.readPorts(packet, start);
    return passesFlow(false);
  }
  const isIcmp = protocol == (tuple.isIpv6 ? Protocol.Icmpv6 : Protocol.Icmp);
  if (isIcmp) return passesIcmp(packet, start, end, isFragment);
  tuple.clearPorts();
  return passesFlow(false);
}

function passesTcp(packet: Packet, start: u32, end: u32): bool {
  const tcp = Tcp.of(packet, start);
  if (tcp == null || start + tcp.headerLength > end) return drop(malformed);
  tuple.readPorts(packet, start);
  const segment = segmentOf(tcp.flags);
  if (segment == Segment.Invalid) return drop(invalid);
  const flow = Flows.find(tuple);
  if (flow == null || (segment == Segment.Syn && flow.state == State.Closed)) {
    return segment == Segment.Syn ? passesRules(true) : drop(stray);
  }
  const result = step(flow, segment, Flows.isForward(flow, tuple));
  if (result == Step.Refuse) return drop(invalid);
  flow.lastNs = Clock.nowNs;
  if (result == Step.Settle) Flows.settle(tuple, flow);
  else if (result == Step.Remove) Flows.remove(tuple);
  return pass(established);
}

/** Of protocols in which every packet may open a flow. Queries are never more than opening. */
function passesFlow(isQuery: bool): bool {
  const flow = Flows.find(tuple);
  if (flow == null) return passesRules(true);
  flow.lastNs = Clock.nowNs;
  const isAnswer = flow.state == State.Opening && !Flows.isForward(flow, tuple);
  if (isAnswer && !isQuery) Flows.settle(tuple, flow);
  return pass(established);
}

function passesIcmp(packet: Packet, start: u32, end: u32, isFragment: bool): bool {
  if (start + ICMP_HEADER_BYTES > end) return drop(malformed);
  const type: u32 = packet.readU8(start);
  const message = Icmp.messageOf(type, tuple.isIpv6);
  if (message == Message.Query) {
    tuple.setQuery(type, packet.readU16(start + 4), false);
    return passesFlow(true);
  }
  if (message == Message.Answer) {
    tuple.setQuery(Icmp.queryOf(type), packet.readU16(start + 4), true);
    return Flows.find(tuple) == null ? drop(stray) : passesFlow(true);
  }
  tuple.clearPorts();
  if (message == Message.Error) {
    const isRelated = Icmp.isRelated(packet, start + ICMP_HEADER_BYTES, tuple);
    return isRelated ? pass(related) : drop(stray);
  }
  // One that came through a router is a forgery (RFC 4861, 7.1), and none is cut (RFC 6980).
  if (message == Message.Neighbour && !isFragment) {
    return isOfLink(packet) ? pass(neighbours) : drop(invalid);
  }
  return message == Message.Local ? passesRules(false) : drop(invalid);
}

/** Whether no router has passed on this IPv6 packet. */
function isOfLink(packet: Packet): bool {
  return packet.readU8(EthernetPayload.of(packet).offset + 7) == 255;
}

/** What belongs to no flow. It opens one if it `opens` and may. */
function passesRules(opens: bool): bool {
  const answer = Rules.ask(tuple);
  if (answer == Answer.Deny) return drop(denied);
  if (answer == Answer.None && !Rules.policyAllows) return drop(unmatched);
  if (!opens) return pass(stateless);
  Flows.open(tuple);
  return pass(opened);
}

function pass(counter: Counter): bool {
  counter.add(1);
  return true;
}

function drop(counter: Counter): bool {
  counter.add(1);
  return false;
}
