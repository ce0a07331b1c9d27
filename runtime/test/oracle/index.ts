// Says in its log what every view sees in a packet: a line for each, a field of a JSON object, as
// the oracle names them (test/oracle).

import {
  Arp,
  Ethernet,
  EthernetPayload,
  EtherType,
  Icmp,
  Icmpv6,
  IpPayload,
  Ipv4,
  Ipv6,
  Line,
  Packet,
  Tcp,
  Transport,
  Udp,
  Verdict,
  Vlan,
} from '@wirelet/runtime';

export function onPacket(packet: Packet): Verdict {
  const ethernet = Ethernet.of(packet);
  Line.of('"ethernet":{"destination":"')
    .hex(ethernet.destination, 12)
    .text('","source":"')
    .hex(ethernet.source, 12)
    .text('","type":')
    .number(ethernet.type)
    .text('}')
    .write();
  const behind = EthernetPayload.of(packet);
  for (let i: u32 = 0; i < behind.tags; i++) tag(packet, i);
  Line.of('"behind":{"type":')
    .number(behind.type)
    .text(',"at":')
    .number(behind.offset)
    .text('}')
    .write();
  if (behind.type == EtherType.Arp) arp(packet, behind.offset);
  if (behind.type == EtherType.Ipv4) ipv4(packet, behind.offset);
  if (behind.type == EtherType.Ipv6) ipv6(packet, behind.offset);
  payload(packet);
  udp(packet);
  tcp(packet);
  icmp(packet);
  icmpv6(packet);
  Line.of('"sum":{"good":')
    .number(Transport.isChecksumGood(packet) ? 1 : 0)
    .text('}')
    .write();
  return Verdict.Pass;
}

function tag(packet: Packet, i: u32): void {
  const vlan = Vlan.of(packet, 14 + i * 4);
  if (vlan == null) return;
  Line.of('"tag')
    .number(i)
    .text('":{"id":')
    .number(vlan.id)
    .text(',"priority":')
    .number(vlan.priority)
    .text(',"eligible":')
    .number(vlan.dropEligible ? 1 : 0)
    .text(',"type":')
    .number(vlan.type)
    .text('}')
    .write();
}

function arp(packet: Packet, offset: u32): void {
  const arp = Arp.of(packet, offset);
  if (arp == null) return;
  Line.of('"arp":{"operation":')
    .number(arp.operation)
    .text(',"senderMac":"')
    .hex(arp.senderMac, 12)
    .text('","senderIp":"')
    .hex(arp.senderIp, 8)
    .text('","targetMac":"')
    .hex(arp.targetMac, 12)
    .text('","targetIp":"')
    .hex(arp.targetIp, 8)
    .text('"}')
    .write();
}

function ipv4(packet: Packet, offset: u32): void {
  const ip = Ipv4.of(packet, offset);
  if (ip == null) return;
  Line.of('"ipv4":{"header":')
    .number(ip.headerLength)
    .text(',"class":')
    .number(ip.trafficClass)
    .text(',"total":')
    .number(ip.totalLength)
    .text(',"identification":')
    .number(ip.identification)
    .text(',"dont":')
    .number(ip.dontFragment ? 1 : 0)
    .text(',"fragment":')
    .number(ip.isFragment ? 1 : 0)
    .text(',"later":')
    .number(ip.isLaterFragment ? 1 : 0)
    .text(',"ttl":')
    .number(ip.timeToLive)
    .text(',"protocol":')
    .number(<u64>(<i32>ip.protocol))
    .text(',"checksum":')
    .number(ip.checksum)
    .text(',"good":')
    .number(ip.isChecksumGood ? 1 : 0)
    .text(',"source":"')
    .hex(ip.source, 8)
    .text('","destination":"')
    .hex(ip.destination, 8)
    .text('"}')
    .write();
}

function ipv6(packet: Packet, offset: u32): void {
  const ip = Ipv6.of(packet, offset);
  if (ip == null) return;
  Line.of('"ipv6":{"class":')
    .number(ip.trafficClass)
    .text(',"flow":')
    .number(ip.flowLabel)
    .text(',"length":')
    .number(ip.payloadLength)
    .text(',"next":')
    .number(<u64>(<i32>ip.nextHeader))
    .text(',"hops":')
    .number(ip.hopLimit)
    .text(',"source":"')
    .hex(ip.sourceHigh, 16)
    .hex(ip.sourceLow, 16)
    .text('","destination":"')
    .hex(ip.destinationHigh, 16)
    .hex(ip.destinationLow, 16)
    .text('"}')
    .write();
}

function payload(packet: Packet): void {
  const payload = IpPayload.of(packet);
  if (payload == null) return;
  Line.of('"payload":{"version":')
    .number(payload.version)
    .text(',"protocol":')
    .number(<u64>(<i32>payload.protocol))
    .text(',"at":')
    .number(payload.offset)
    .text(',"fragment":')
    .number(payload.isFragment ? 1 : 0)
    .text(',"later":')
    .number(payload.isLaterFragment ? 1 : 0)
    .text('}')
    .write();
}

function udp(packet: Packet): void {
  const udp = Udp.find(packet);
  if (udp == null) return;
  Line.of('"udp":{"payload":')
    .number(udp.payloadOffset(packet))
    .text(',"end":')
    .number(udp.payloadEnd(packet))
    .text(',"source":')
    .number(udp.sourcePort)
    .text(',"destination":')
    .number(udp.destinationPort)
    .text(',"length":')
    .number(udp.length)
    .text(',"checksum":')
    .number(udp.checksum)
    .text('}')
    .write();
}

function tcp(packet: Packet): void {
  const tcp = Tcp.find(packet);
  if (tcp == null) return;
  Line.of('"tcp":{"payload":')
    .number(tcp.payloadOffset(packet))
    .text(',"source":')
    .number(tcp.sourcePort)
    .text(',"destination":')
    .number(tcp.destinationPort)
    .text(',"sequence":')
    .number(tcp.sequence)
    .text(',"acknowledgment":')
    .number(tcp.acknowledgment)
    .text(',"header":')
    .number(tcp.headerLength)
    .text(',"flags":')
    .number(tcp.flags)
    .text(',"window":')
    .number(tcp.window)
    .text(',"checksum":')
    .number(tcp.checksum)
    .text('}')
    .write();
  Line.of('"options":{"mss":')
    .number(tcp.option(2) != 0 ? 1 : 0)
    .text(',"scale":')
    .number(tcp.option(3) != 0 ? 1 : 0)
    .text(',"permitted":')
    .number(tcp.option(4) != 0 ? 1 : 0)
    .text(',"selective":')
    .number(tcp.option(5) != 0 ? 1 : 0)
    .text(',"timestamp":')
    .number(tcp.option(8) != 0 ? 1 : 0)
    .text('}')
    .write();
}

function icmp(packet: Packet): void {
  const icmp = Icmp.find(packet);
  if (icmp == null) return;
  echo('"icmp":{"type":', icmp.type, icmp.code, icmp.checksum, icmp.identifier, icmp.sequence);
}

function icmpv6(packet: Packet): void {
  const icmp = Icmpv6.find(packet);
  if (icmp == null) return;
  echo('"icmpv6":{"type":', icmp.type, icmp.code, icmp.checksum, icmp.identifier, icmp.sequence);
}

function echo(
  head: string,
  type: u32,
  code: u32,
  checksum: u32,
  identifier: u32,
  sequence: u32,
): void {
  Line.of(head)
    .number(type)
    .text(',"code":')
    .number(code)
    .text(',"checksum":')
    .number(checksum)
    .text(',"identifier":')
    .number(identifier)
    .text(',"sequence":')
    .number(sequence)
    .text('}')
    .write();
}
