// Does to each packet what the setting `action` says: everything that changes a packet.

import {
  Arp,
  Burst,
  Checksum,
  Counter,
  Ethernet,
  EtherType,
  Icmp,
  Icmpv6,
  Ipv4,
  Ipv6,
  Packet,
  Settings,
  Tcp,
  Transport,
  Udp,
  Verdict,
  Vlan,
} from '@wirelet/runtime';

const action = Settings.string('action', '');
const amount = Settings.u32('amount', 0);
const refused = Counter.of('refused');
const seen = Counter.of('seen');
let loads = 0;

export function onLoad(): void {
  loads += 1;
}

export function onBurst(burst: Burst): void {
  assert(loads == 1);
  for (let i: u32 = 0; i < burst.count; i++) {
    const packet = burst.packet(i);
    seen.add(1);
    packet.mark = burst.lcore * 100 + burst.generation;
    if (action == 'beyond') burst.packet(burst.count);
    packet.verdict = act(packet) ? Verdict.Pass : Verdict.Drop;
    if (!packet.decided) refused.add(100);
    if (packet.verdict == Verdict.Drop) refused.add(1);
    if (action == 'redirect') packet.verdict = packet.redirect(amount);
    if (action == 'metadata') metadata(packet, burst);
  }
}

function metadata(packet: Packet, burst: Burst): void {
  packet.mark =
    packet.port * 1000000 +
    packet.hash * 10000 +
    packet.flags * 1000 +
    <u32>packet.timestampNs +
    (burst.nowNs == 1000000 ? 5 : 0);
}

function act(packet: Packet): bool {
  if (action == 'push') return packet.push(amount);
  if (action == 'pull') return packet.pull(amount);
  if (action == 'extend') return packet.extend(amount);
  if (action == 'trim') return packet.trim(amount);
  if (action == 'rooms') return packet.headroom == 128 && packet.tailroom == amount;
  if (action == 'tag') return Vlan.insert(packet, amount, EtherType.QinQ);
  if (action == 'untag') return Vlan.remove(packet);
  if (action == 'retag') return retag(packet);
  if (action == 'bytes') return bytes(packet);
  if (action == 'read8') return packet.readU8(amount) == 0;
  if (action == 'read16') return packet.readU16(amount) == 0;
  if (action == 'read32') return packet.readU32(amount) == 0;
  if (action == 'read64') return packet.readU64(amount) == 0;
  if (action == 'checksum') return Checksum.of(packet, amount, packet.length) == 0;
  if (action == 'ethernet') return ethernet(packet);
  if (action == 'good') return isGood(packet);
  if (action == 'arp') return answer(packet);
  if (action == 'ttl') return ttl(packet);
  if (action == 'nat') return nat(packet);
  if (action == 'nat6') return nat6(packet);
  if (action == 'icmp') return echo(packet);
  if (action == 'fill') return fill(packet);
  if (action == 'zero16' || action == 'zero32') return zero(packet);
  return true;
}

function retag(packet: Packet): bool {
  const vlan = Vlan.of(packet);
  if (vlan == null) return false;
  vlan.id = amount;
  return true;
}

function bytes(packet: Packet): bool {
  packet.writeU8(14, 0x11);
  packet.writeU16(15, 0x2233);
  packet.writeU32(17, 0x44556677);
  packet.writeU64(21, 0x8899aabbccddeeff);
  if (packet.readU8(14) != 0x11 || packet.readU16(15) != 0x2233) return false;
  return packet.readU32(17) == 0x44556677 && packet.readU64(21) == 0x8899aabbccddeeff;
}

function ethernet(packet: Packet): bool {
  const header = Ethernet.of(packet);
  header.source = 0x0a0b0c0d0e0f;
  header.destination = 0x010203040506;
  header.type = 0x1234;
  if (header.source != 0x0a0b0c0d0e0f || header.destination != 0x010203040506) return false;
  header.swapAddresses();
  return header.type == 0x1234;
}

function isGood(packet: Packet): bool {
  const ip = Ipv4.of(packet);
  return ip != null && ip.isChecksumGood;
}

function answer(packet: Packet): bool {
  const arp = Arp.of(packet);
  if (arp == null) return false;
  const sender = arp.senderIp;
  arp.operation = 2;
  arp.senderIp = arp.targetIp;
  arp.targetIp = sender;
  arp.targetMac = arp.senderMac;
  arp.senderMac = 0x0a0b0c0d0e0f;
  return true;
}

function ttl(packet: Packet): bool {
  const ip = Ipv4.of(packet);
  return ip != null && ip.decrementTimeToLive();
}

/** Source address and port, as a NAT does: every checksum incrementally. */
function nat(packet: Packet): bool {
  const ip = Ipv4.of(packet);
  if (ip == null) return false;
  const before = ip.source;
  ip.source = amount;
  ip.destination = ip.destination ^ amount;
  const udp = Udp.find(packet);
  if (udp != null) {
    const port = udp.sourcePort;
    udp.sourcePort = amount & 0xffff;
    udp.adjust32(before, amount);
    udp.adjust32(ip.destination ^ amount, ip.destination);
    udp.adjust16(port, amount & 0xffff);
  }
  const tcp = Tcp.find(packet);
  if (tcp != null) {
    const port = tcp.destinationPort;
    tcp.destinationPort = amount & 0xffff;
    tcp.adjust32(before, amount);
    tcp.adjust32(ip.destination ^ amount, ip.destination);
    tcp.adjust16(port, amount & 0xffff);
  }
  return ip.isChecksumGood && Transport.isChecksumGood(packet);
}

function nat6(packet: Packet): bool {
  const ip = Ipv6.of(packet);
  const udp = Udp.find(packet);
  if (ip == null || udp == null) return false;
  const before = <u32>ip.sourceLow;
  ip.setSource(ip.sourceHigh, (ip.sourceLow & 0xffffffff00000000) | amount);
  ip.setDestination(ip.destinationHigh, ip.destinationLow);
  ip.hopLimit = 9;
  udp.adjust32(before, amount);
  udp.destinationPort = udp.destinationPort;
  return Transport.isChecksumGood(packet);
}

function echo(packet: Packet): bool {
  const icmp = Icmp.find(packet);
  if (icmp != null) {
    icmp.adjust16((icmp.type << 8) | icmp.code, 0);
    icmp.type = 0;
    icmp.code = 0;
  }
  const icmpv6 = Icmpv6.find(packet);
  if (icmpv6 != null) {
    icmpv6.adjust16((icmpv6.type << 8) | icmpv6.code, 129 << 8);
    icmpv6.type = 129;
    icmpv6.code = 0;
  }
  return Transport.isChecksumGood(packet);
}

/** Changes by as much as makes the new UDP checksum 0. */
function zero(packet: Packet): bool {
  const udp = Udp.find(packet);
  if (udp == null) return false;
  if (action == 'zero16') udp.adjust16(0, udp.checksum);
  else udp.adjust32(0, udp.checksum);
  return true;
}

function fill(packet: Packet): bool {
  const ip = Ipv4.of(packet);
  if (ip != null) ip.fillChecksum();
  return Transport.fillChecksum(packet);
}
