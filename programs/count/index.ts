// Counts packets by protocol, as the headers nearest to the wire say: VLAN tags are looked through,
// tunnels are not. README.md says exactly what each counter counts.

import {
  Counter,
  EthernetPayload,
  EtherType,
  IpPayload,
  Packet,
  Protocol,
  Verdict,
} from '@wirelet/runtime';

const packets = Counter.of('packets');
const vlan = Counter.of('vlan');
const arp = Counter.of('arp');
const ipv4 = Counter.of('ipv4');
const ipv6 = Counter.of('ipv6');
const other = Counter.of('other');
const tcp = Counter.of('tcp');
const udp = Counter.of('udp');
const icmp = Counter.of('icmp');
const icmpv6 = Counter.of('icmpv6');
const ipOther = Counter.of('ipOther');

export function onPacket(packet: Packet): Verdict {
  packets.add(1);
  const payload = EthernetPayload.of(packet);
  if (payload.tags > 0) vlan.add(1);
  if (payload.type == EtherType.Ipv4) {
    ipv4.add(1);
    countIpv4(IpPayload.ofIpv4(packet, payload.offset));
  } else if (payload.type == EtherType.Ipv6) {
    ipv6.add(1);
    countIpv6(IpPayload.ofIpv6(packet, payload.offset));
  } else if (payload.type == EtherType.Arp) {
    arp.add(1);
  } else {
    other.add(1);
  }
  return Verdict.Pass;
}

function countIpv4(payload: IpPayload | null): void {
  if (payload == null) ipOther.add(1);
  else if (payload.protocol == Protocol.Tcp) tcp.add(1);
  else if (payload.protocol == Protocol.Udp) udp.add(1);
  else if (payload.protocol == Protocol.Icmp) icmp.add(1);
  else ipOther.add(1);
}

function countIpv6(payload: IpPayload | null): void {
  if (payload == null) ipOther.add(1);
  else if (payload.protocol == Protocol.Tcp) tcp.add(1);
  else if (payload.protocol == Protocol.Udp) udp.add(1);
  else if (payload.protocol == Protocol.Icmpv6) icmpv6.add(1);
  else ipOther.add(1);
}
