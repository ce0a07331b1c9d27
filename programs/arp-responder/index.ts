import {
  Address,
  Arp,
  ArpOperation,
  Counter,
  Ethernet,
  EthernetPayload,
  EtherType,
  Packet,
  Settings,
  Verdict,
} from '@wirelet/runtime';

/** Bit of the first byte of a MAC address: a group, which nobody sends from. */
const GROUP: u64 = 1 << 40;

const mac = Address.mac(Settings.string('mac', '02:00:00:00:00:01'));
const addresses = addressesOf(Settings.strings('addresses', []));

const replies = Counter.of('replies');
const conflicts = Counter.of('conflicts');

export function onPacket(packet: Packet): Verdict {
  const payload = EthernetPayload.of(packet);
  if (payload.type != EtherType.Arp) return Verdict.Pass;
  const arp = Arp.of(packet, payload.offset);
  if (arp == null) return Verdict.Pass;
  return onArp(packet, arp);
}

function onArp(packet: Packet, arp: Arp): Verdict {
  // Somebody else has one of our addresses (RFC 5227, 2.4).
  if (arp.senderMac != mac && isOurs(arp.senderIp)) conflicts.add(1);
  if (arp.operation != ArpOperation.Request || !isOurs(arp.targetIp)) return Verdict.Pass;
  const ethernet = Ethernet.of(packet);
  const forUs = ethernet.isBroadcast || ethernet.destination == mac;
  if (!forUs || arp.senderMac & GROUP || arp.senderIp == arp.targetIp) return Verdict.Pass;
  ethernet.destination = arp.senderMac;
  ethernet.source = mac;
  // Read before they are written over: the reply goes where the request came from (RFC 826).
  const asked = arp.targetIp;
  arp.targetMac = arp.senderMac;
  arp.targetIp = arp.senderIp;
  arp.senderMac = mac;
  arp.senderIp = asked;
  arp.operation = ArpOperation.Reply;
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
