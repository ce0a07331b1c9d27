import {
  Address,
  Checksum,
  Counter,
  Ethernet,
  EthernetPayload,
  EtherType,
  Icmp,
  IcmpType,
  IPV4_BYTES,
  Ipv4,
  Packet,
  Protocol,
  Settings,
  Verdict,
} from '@wirelet/runtime';

/** Where the time to live stands in an IPv4 header (RFC 791), and what we answer (RFC 1700). */
const TIME_TO_LIVE: u32 = 8;
const HOPS: u8 = 64;
/** First address that is no host's: multicast, reserved, broadcast. */
const HOSTS_END: u32 = 0xe0000000;

const addresses = addressesOf(Settings.strings('addresses', []));

const replies = Counter.of('replies');
const malformed = Counter.of('malformed');

export function onPacket(packet: Packet): Verdict {
  const payload = EthernetPayload.of(packet);
  if (payload.type != EtherType.Ipv4) return Verdict.Pass;
  const ip = Ipv4.of(packet, payload.offset);
  if (ip == null || ip.protocol != Protocol.Icmp || !isOurs(ip.destination)) return Verdict.Pass;
  // An echo in parts, or one that asks for a route of its own, is for a whole stack to answer.
  if (ip.isFragment || ip.headerLength != IPV4_BYTES) return Verdict.Pass;
  return onIcmp(packet, ip, payload.offset);
}

function onIcmp(packet: Packet, ip: Ipv4, at: u32): Verdict {
  const offset = at + IPV4_BYTES;
  const icmp = Icmp.of(packet, offset);
  if (icmp == null || icmp.type != IcmpType.EchoRequest) return Verdict.Pass;
  const bytes = ip.totalLength - IPV4_BYTES;
  const ethernet = Ethernet.of(packet);
  // To answer a group, or for somebody who is none, helps those who attack others through us.
  const whole = icmp.code == 0 && bytes >= 8 && ip.isChecksumGood;
  const honest = !ethernet.isMulticast && ip.source != 0 && ip.source < HOSTS_END;
  if (!whole || !honest || Checksum.of(packet, offset, bytes) != 0) {
    malformed.add(1);
    return Verdict.Drop;
  }
  ethernet.swapAddresses();
  const us = ip.destination;
  ip.destination = ip.source;
  ip.source = us;
  packet.writeU8(at + TIME_TO_LIVE, HOPS);
  ip.fillChecksum();
  icmp.type = IcmpType.EchoReply;
  icmp.adjust16((<u32>IcmpType.EchoRequest) << 8, (<u32>IcmpType.EchoReply) << 8);
  replies.add(1);
  return packet.redirect(packet.port);
}

function isOurs(address: u32): bool {
  for (let i = 0; i < addresses.length; i++) {
    if (addresses[i] == address) return true;
  }
  return false;
}

function addressesOf(texts: string[]): StaticArray<u32> {
  const all = new StaticArray<u32>(texts.length);
  for (let i = 0; i < texts.length; i++) all[i] = Address.ipv4(texts[i]);
  return all;
}
