// Says in its log what every view sees in a packet, a line per header.

import {
  Arp,
  Checksum,
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
  Line.of('ethernet ')
    .mac(ethernet.source)
    .text(' > ')
    .mac(ethernet.destination)
    .text(' type ')
    .hex(ethernet.type, 4)
    .text(ethernet.isBroadcast ? ' broadcast' : ethernet.isMulticast ? ' multicast' : '')
    .write();
  const payload = EthernetPayload.of(packet);
  describeVlans(packet, payload.tags);
  if (payload.type == EtherType.Arp) describeArp(packet, payload.offset);
  if (payload.type == EtherType.Ipv4) describeIpv4(packet, payload.offset);
  if (payload.type == EtherType.Ipv6) describeIpv6(packet, payload.offset);
  const carried = IpPayload.of(packet);
  if (carried == null) {
    Line.of('no ip payload').write();
  } else {
    Line.of('payload v')
      .number(carried.version)
      .text(' protocol ')
      .number(<u64>(<i32>carried.protocol))
      .text(' at ')
      .number(carried.offset)
      .text(carried.isLaterFragment ? ' later fragment' : carried.isFragment ? ' fragment' : '')
      .write();
  }
  describeTransport(packet);
  return Transport.isChecksumGood(packet) ? Verdict.Pass : Verdict.Punt;
}

function describeVlans(packet: Packet, tags: u32): void {
  for (let i: u32 = 0; i < tags; i++) {
    const vlan = Vlan.of(packet, 14 + i * 4);
    if (vlan == null) continue;
    Line.of('vlan ')
      .number(vlan.id)
      .text(' priority ')
      .number(vlan.priority)
      .text(vlan.dropEligible ? ' eligible' : '')
      .text(' type ')
      .hex(vlan.type, 4)
      .text(vlan.hasType(EtherType.Vlan) ? ' tagged' : '')
      .write();
  }
}

function describeArp(packet: Packet, offset: u32): void {
  const arp = Arp.of(packet, offset);
  if (arp == null) {
    Line.of('bad arp').write();
    return;
  }
  Line.of('arp ').number(arp.operation).text(' ').mac(arp.senderMac).text(' ').write();
  Line.of('arp ')
    .ipv4(arp.senderIp)
    .text(' ')
    .mac(arp.targetMac)
    .text(' ')
    .ipv4(arp.targetIp)
    .write();
}

function describeIpv4(packet: Packet, offset: u32): void {
  const ip = Ipv4.of(packet, offset);
  if (ip == null) {
    Line.of('bad ipv4').write();
    return;
  }
  Line.of('ipv4 ')
    .ipv4(ip.source)
    .text(' > ')
    .ipv4(ip.destination)
    .text(' header ')
    .number(ip.headerLength)
    .text(' total ')
    .number(ip.totalLength)
    .text(' id ')
    .number(ip.identification)
    .text(ip.dontFragment ? ' df' : '')
    .text(' ttl ')
    .number(ip.timeToLive)
    .text(' class ')
    .number(ip.trafficClass)
    .text(ip.isChecksumGood ? ' good' : ' bad')
    .text(Checksum.of(packet, offset, ip.headerLength) == 0 ? ' good' : ' bad')
    .text(' alert at ')
    .number(ip.option(148))
    .write();
}

function describeIpv6(packet: Packet, offset: u32): void {
  const ip = Ipv6.of(packet, offset);
  if (ip == null) {
    Line.of('bad ipv6').write();
    return;
  }
  Line.of('ipv6 ')
    .ipv6(ip.sourceHigh, ip.sourceLow)
    .text(' > ')
    .ipv6(ip.destinationHigh, ip.destinationLow)
    .text(' class ')
    .number(ip.trafficClass)
    .text(' flow ')
    .number(ip.flowLabel)
    .text(' bytes ')
    .number(ip.payloadLength)
    .text(' next ')
    .number(<u64>(<i32>ip.nextHeader))
    .text(' hops ')
    .number(ip.hopLimit)
    .write();
}

function describeTransport(packet: Packet): void {
  const udp = Udp.find(packet);
  if (udp != null) {
    Line.of('udp ').number(udp.sourcePort).text(' > ').number(udp.destinationPort).write();
    Line.of('udp ')
      .number(udp.length)
      .text(udp.isTo(53) ? ' to dns' : udp.isFrom(53) ? ' from dns' : '')
      .text(' payload ')
      .number(udp.payloadOffset(packet))
      .text(' to ')
      .number(udp.payloadEnd(packet))
      .write();
  }
  const tcp = Tcp.find(packet);
  if (tcp != null) {
    Line.of('tcp ').number(tcp.sourcePort).text(' > ').number(tcp.destinationPort).write();
    Line.of('tcp ')
      .number(tcp.sequence)
      .text(' ')
      .number(tcp.acknowledgment)
      .text(' header ')
      .number(tcp.headerLength)
      .text(' flags ')
      .number(tcp.flags)
      .text(' window ')
      .number(tcp.window)
      .text(' payload ')
      .number(tcp.payloadOffset(packet))
      .text(' mss at ')
      .number(tcp.option(2))
      .write();
  }
  const icmp = Icmp.find(packet);
  if (icmp != null) {
    Line.of('icmp ')
      .number(icmp.type)
      .text(' ')
      .number(icmp.code)
      .text(' ')
      .number(icmp.sequence)
      .write();
  }
  const icmpv6 = Icmpv6.find(packet);
  if (icmpv6 != null) {
    Line.of('icmpv6 ')
      .number(icmpv6.type)
      .text(' ')
      .number(icmpv6.code)
      .text(' ')
      .number(icmpv6.sequence)
      .write();
  }
}
