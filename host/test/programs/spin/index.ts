import { Packet, Verdict } from '@wirelet/runtime';

export function onPacket(packet: Packet): Verdict {
  while (true) {}
}
