import { Ipv4, Packet, Protocol, Settings, Verdict } from '@wirelet/runtime';

const version = Settings.u32('version', 0);

/** Lets no TCP through, whichever version it is. */
export function onPacket(packet: Packet): Verdict {
  const ip = Ipv4.of(packet);
  if (ip != null && ip.protocol == Protocol.Tcp) return Verdict.Drop;
  packet.mark = version;
  return Verdict.Pass;
}
