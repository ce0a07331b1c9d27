// Writes into each packet when it was received, as the program was told, and lets it pass.
import { Packet, Verdict } from '@wirelet/runtime';

export function onPacket(packet: Packet): Verdict {
  if (!packet.has(14, 8)) return Verdict.Drop;
  packet.writeU64(14, packet.timestampNs);
  return Verdict.Pass;
}
