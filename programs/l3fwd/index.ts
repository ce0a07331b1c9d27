// A router (RFC 1812): README.md says what it does with which packet.

import {
  Burst,
  Counter,
  ETHERNET_BYTES,
  Ethernet,
  EtherType,
  FixedArray,
  HashTable,
  IpPayload,
  Ipv4,
  Ipv6,
  Lpm6Table,
  LpmTable,
  Packet,
  Settings,
  Verdict,
} from '@wirelet/runtime';
import { Flow4, Flow6, portsOf } from './flow';
import { Hops } from './hops';

const NONE: u32 = LpmTable.NONE;
/** First IPv4 address that is no host's; first byte of loopback and of IPv6's groups. */
const HOSTS_END: u32 = 0xe000_0000;
const LOOPBACK: u32 = 127;
const IPV6_GROUP: u64 = 0xff;
/** fe80::/10, which no router passes on (RFC 4291, 2.5.6). */
const LINK_LOCAL: u64 = 0xfe80 >> 6;
/** Where an IPv4 header behind an Ethernet header has its destination. */
const DESTINATION: u32 = ETHERNET_BYTES + 16;
const BURST_MAX: i32 = 256;

const capacity = Settings.u32('capacity', 65536);
const exactCapacity = Settings.u32('exactCapacity', 1024);
const routes = LpmTable.shared('routes', capacity);
const routes6 = Lpm6Table.shared('routes6', capacity);
const exact = HashTable.shared<Flow4, u32>('exact', exactCapacity);
const exact6 = HashTable.shared<Flow6, u32>('exact6', exactCapacity);
const hops = Hops.of(Settings.strings('hops', []));
const unroutable = Settings.boolean('punt', false) ? Verdict.Punt : Verdict.Drop;
const flow = new Flow4();
const flow6 = new Flow6();
/** What `routes` says of each packet of a burst. */
const groups = FixedArray.of<u32>(BURST_MAX);

const forwarded = Counter.of('forwarded');
const noRoute = Counter.of('no_route');
const expired = Counter.of('expired');
const malformed = Counter.of('malformed');

/**
 * Twice over the burst: a large table is not in the cache, and a CPU waits for the entries of many
 * packets at once only while there is little else to do between them.
 */
export function onBurst(burst: Burst): void {
  const count = burst.count;
  for (let i: u32 = 0; i < count; i++) groups.set(i, lookUp(burst.packet(i)));
  let sent = 0;
  for (let i: u32 = 0; i < count; i++) {
    const packet = burst.packet(i);
    const verdict = route(packet, groups.get(i));
    packet.verdict = verdict;
    sent += verdict == Verdict.Redirect ? 1 : 0;
  }
  forwarded.add(sent);
}

function lookUp(packet: Packet): u32 {
  const isIpv4 = Ethernet.of(packet).hasType(EtherType.Ipv4) && packet.has(DESTINATION, 4);
  return isIpv4 ? routes.find(packet.readU32(DESTINATION)) : NONE;
}

function route(packet: Packet, group: u32): Verdict {
  const ethernet = Ethernet.of(packet);
  if (ethernet.isMulticast) return Verdict.Pass;
  if (ethernet.hasType(EtherType.Ipv4)) return routeIpv4(packet, group);
  if (ethernet.hasType(EtherType.Ipv6)) return routeIpv6(packet);
  return Verdict.Pass;
}

function routeIpv4(packet: Packet, found: u32): Verdict {
  const ip = Ipv4.of(packet);
  // RFC 1812, 5.2.2: what is wrong is dropped without an answer.
  if (ip == null) return drop(malformed);
  if (!ip.isChecksumGood) return drop(malformed);
  if (ip.source >> 24 == LOOPBACK) return drop(malformed);
  const destination = ip.destination;
  if (destination >= HOSTS_END) return Verdict.Pass;
  if (destination >> 24 == LOOPBACK) return Verdict.Pass;
  if (exact.count != 0) {
    readFlow4(packet, ip);
    const own = exact.getOr(flow, NONE);
    if (own != NONE) found = own;
  }
  const group = hops.group(found);
  if (group == Hops.NONE) return refuse(noRoute);
  if (!ip.decrementTimeToLive()) return refuse(expired);
  if (!hops.isShared(group)) return hops.send(packet, group, 0);
  readFlow4(packet, ip);
  return hops.send(packet, group, flow.hash);
}

function routeIpv6(packet: Packet): Verdict {
  const ip = Ipv6.of(packet);
  if (ip == null || ip.sourceHigh >> 56 == IPV6_GROUP) return drop(malformed);
  const high = ip.destinationHigh;
  const isLocal = high >> 54 == LINK_LOCAL || ip.sourceHigh >> 54 == LINK_LOCAL;
  if (high >> 56 == IPV6_GROUP || isLocal || (high == 0 && ip.destinationLow <= 1)) {
    return Verdict.Pass;
  }
  let found = NONE;
  if (exact6.count != 0) {
    readFlow6(packet, ip);
    found = exact6.getOr(flow6, NONE);
  }
  if (found == NONE) found = routes6.find(high, ip.destinationLow);
  const group = hops.group(found);
  if (group == Hops.NONE) return refuse(noRoute);
  const limit = ip.hopLimit;
  if (limit <= 1) return refuse(expired);
  ip.hopLimit = limit - 1;
  if (!hops.isShared(group)) return hops.send(packet, group, 0);
  readFlow6(packet, ip);
  return hops.send(packet, group, flow6.hash);
}

function readFlow4(packet: Packet, ip: Ipv4): void {
  const payload = IpPayload.ofIpv4(packet, ETHERNET_BYTES);
  const ports = payload == null ? 0 : portsOf(packet, payload);
  flow.source = ip.source;
  flow.destination = ip.destination;
  flow.sourcePort = <u16>(ports >> 16);
  flow.destinationPort = <u16>ports;
  flow.protocol = <u8>(<i32>ip.protocol);
}

function readFlow6(packet: Packet, ip: Ipv6): void {
  const payload = IpPayload.ofIpv6(packet, ETHERNET_BYTES);
  const ports = payload == null ? 0 : portsOf(packet, payload);
  flow6.sourceHigh = ip.sourceHigh;
  flow6.sourceLow = ip.sourceLow;
  flow6.destinationHigh = ip.destinationHigh;
  flow6.destinationLow = ip.destinationLow;
  flow6.sourcePort = <u16>(ports >> 16);
  flow6.destinationPort = <u16>ports;
  flow6.protocol = payload == null ? 0 : <u8>(<i32>payload.protocol);
}

function drop(counter: Counter): Verdict {
  counter.add(1);
  return Verdict.Drop;
}

/** What a whole stack would answer: the kernel's, behind a `punt` port, if there is one. */
function refuse(counter: Counter): Verdict {
  counter.add(1);
  return unroutable;
}
