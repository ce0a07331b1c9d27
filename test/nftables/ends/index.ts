// Both ends of a router. Port 0 is files: what is to be sent comes from there, and what arrives
// goes there. Ports 1 and 2 are the interfaces; the last byte of a source address says which one
// sends.

import { Ethernet, EtherType, log, Packet, Udp, Verdict } from '@wirelet/runtime';

/** UDP to this port is the last packet of a side. */
const LAST: u32 = 7;

export function onPacket(packet: Packet): Verdict {
  const ethernet = Ethernet.of(packet);
  if (packet.port == 0) return packet.redirect(<u32>ethernet.source & 0xff);
  // The router's own packets are for groups: neighbour discovery, listener reports.
  if (ethernet.isMulticast || !isIp(ethernet)) return Verdict.Drop;
  const udp = Udp.find(packet);
  if (udp != null && udp.isTo(LAST)) log('the last packet of a side');
  return packet.redirect(0);
}

function isIp(ethernet: Ethernet): bool {
  return ethernet.hasType(EtherType.Ipv4) || ethernet.hasType(EtherType.Ipv6);
}
