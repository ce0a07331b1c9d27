import { Packet, Verdict } from '@wirelet/runtime';

export function onPacket(packet: Packet): Verdict {
  return packet.length > 0 ? Verdict.Pass : Verdict.Drop;
}
