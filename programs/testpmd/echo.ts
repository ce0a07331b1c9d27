// testpmd's `icmpecho`: everybody's ARP request and ICMP echo is answered, whatever address it is
// for; nothing else comes back. Programs for addresses of their own: arp-responder, icmp-echo.

import {
  Arp,
  ArpOperation,
  Ethernet,
  EthernetPayload,
  EtherType,
  Icmp,
  IcmpType,
  Ipv4,
  Packet,
  Protocol,
  Verdict,
} from '@wirelet/runtime';

/** First address that is no host's: multicast, reserved, broadcast. */
const HOSTS_END: u32 = 0xe000_0000;

/** Bit of the first byte of a MAC address: a group, which nobody sends from. */
const GROUP: u64 = 1 << 40;

/** The answer goes back by the port that the request came in by; `own` is who answers ARP. */
export function echo(packet: Packet, own: u64): Verdict {
  const payload = EthernetPayload.of(packet);
  if (payload.type == EtherType.Arp) return answerArp(packet, payload.offset, own);
  if (payload.type == EtherType.Ipv4) return answerPing(packet, payload.offset);
  return Verdict.Drop;
}

function answerArp(packet: Packet, at: u32, own: u64): Verdict {
  const arp = Arp.of(packet, at);
  if (arp == null || arp.operation != ArpOperation.Request) return Verdict.Drop;
  // To answer a group helps those who attack others through us; so below.
  if ((arp.senderMac & GROUP) != 0) return Verdict.Drop;
  const ethernet = Ethernet.of(packet);
  const asked = arp.targetIp;
  ethernet.destination = arp.senderMac;
  ethernet.source = own;
  arp.operation = ArpOperation.Reply;
  arp.targetMac = arp.senderMac;
  arp.targetIp = arp.senderIp;
  arp.senderMac = own;
  arp.senderIp = asked;
  return packet.redirect(packet.port);
}

/** Checksums are updated: one that was wrong stays wrong. */
function answerPing(packet: Packet, at: u32): Verdict {
  const ip = Ipv4.of(packet, at);
  if (ip == null || ip.protocol != Protocol.Icmp || ip.isLaterFragment) return Verdict.Drop;
  const icmp = Icmp.of(packet, at + ip.headerLength);
  if (icmp == null || icmp.type != IcmpType.EchoRequest || icmp.code != 0) return Verdict.Drop;
  const asked = ip.destination;
  // Nobody answers as a group: the address would be a source that no packet may have.
  if (asked >= HOSTS_END || ip.source >= HOSTS_END) return Verdict.Drop;
  Ethernet.of(packet).swapAddresses();
  ip.destination = ip.source;
  ip.source = asked;
  icmp.type = IcmpType.EchoReply;
  icmp.adjust16((<u32>IcmpType.EchoRequest) << 8, (<u32>IcmpType.EchoReply) << 8);
  return packet.redirect(packet.port);
}
