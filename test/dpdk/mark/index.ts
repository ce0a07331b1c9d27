import { Packet, Verdict } from '@wirelet/runtime';

/** Leaves the packet's mark where it can be seen: in the destination address. */
export function onPacket(packet: Packet): Verdict {
  packet.writeU32(0, packet.mark);
  return Verdict.Pass;
}
