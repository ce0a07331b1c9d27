// The forwarding modes of DPDK's testpmd, one at a time: README.md says what each does.

import {
  Address,
  Ethernet,
  EthernetPayload,
  EtherType,
  IpPayload,
  Ipv4,
  Ipv6,
  Packet,
  Protocol,
  Settings,
  Transport,
  Verdict,
} from '@wirelet/runtime';
import { echo } from './echo';

const MODES: string[] = ['io', 'mac', 'macswap', 'csum', '5tswap', 'rxonly', 'icmpecho'];
enum Mode {
  Io,
  Mac,
  MacSwap,
  Csum,
  FiveTupleSwap,
  RxOnly,
  IcmpEcho,
}

const mode = modeOf(Settings.string('mode', 'macswap'));
const peer = Address.mac(Settings.string('peer', '02:00:00:00:00:01'));
const own = Address.mac(Settings.string('own', '02:00:00:00:00:02'));

export function onPacket(packet: Packet): Verdict {
  const ethernet = Ethernet.of(packet);
  if (mode == Mode.MacSwap) {
    ethernet.swapAddresses();
  } else if (mode == Mode.RxOnly) {
    return Verdict.Drop;
  } else if (mode == Mode.Mac) {
    ethernet.destination = peer;
    ethernet.source = own;
  } else if (mode == Mode.Csum) {
    fillChecksums(packet);
  } else if (mode == Mode.IcmpEcho) {
    return echo(packet, own);
  } else if (mode == Mode.FiveTupleSwap) {
    ethernet.swapAddresses();
    swapFlow(packet);
  }
  return Verdict.Pass;
}

function fillChecksums(packet: Packet): void {
  const payload = EthernetPayload.of(packet);
  if (payload.type == EtherType.Ipv4) {
    const ip = Ipv4.of(packet, payload.offset);
    if (ip != null) ip.fillChecksum();
  }
  Transport.fillChecksum(packet);
}

/** Sums stay as they are: they do not depend on the order of what they cover. */
function swapFlow(packet: Packet): void {
  const at = EthernetPayload.of(packet);
  let payload: IpPayload | null = null;
  if (at.type == EtherType.Ipv4) {
    const ip = Ipv4.of(packet, at.offset);
    if (ip == null) return;
    const source = ip.source;
    ip.source = ip.destination;
    ip.destination = source;
    payload = IpPayload.ofIpv4(packet, at.offset);
  } else if (at.type == EtherType.Ipv6) {
    const ip = Ipv6.of(packet, at.offset);
    if (ip == null) return;
    const high = ip.sourceHigh;
    const low = ip.sourceLow;
    ip.setSource(ip.destinationHigh, ip.destinationLow);
    ip.setDestination(high, low);
    payload = IpPayload.ofIpv6(packet, at.offset);
  }
  if (payload != null) swapPorts(packet, payload);
}

function swapPorts(packet: Packet, payload: IpPayload): void {
  const protocol = payload.protocol;
  const hasPorts =
    protocol == Protocol.Tcp || protocol == Protocol.Udp || protocol == Protocol.Sctp;
  if (!hasPorts || payload.isLaterFragment || !packet.has(payload.offset, 4)) return;
  const ports = packet.readU32(payload.offset);
  packet.writeU32(payload.offset, (ports << 16) | (ports >> 16));
}

function modeOf(name: string): Mode {
  const found = MODES.indexOf(name);
  if (found < 0) throw new TypeError('setting "mode" must be one of ' + MODES.join(', '));
  return found as Mode;
}
