import { Counter, Ethernet, EtherType, Ipv4, Packet, Protocol, Verdict } from '@wirelet/runtime';

const arp = Counter.of('arp');
const ipv4 = Counter.of('ipv4');
const udp = Counter.of('udp');
const other = Counter.of('other');

export function onPacket(packet: Packet): Verdict {
  const ethernet = Ethernet.of(packet);
  if (ethernet.hasType(EtherType.Ipv4)) {
    ipv4.add(1);
    const ip = Ipv4.of(packet);
    if (ip != null && ip.protocol == Protocol.Udp) udp.add(1);
  } else if (ethernet.hasType(EtherType.Arp)) {
    arp.add(1);
  } else {
    other.add(1);
  }
  return Verdict.Pass;
}
