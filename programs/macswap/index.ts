import { Ethernet, Packet, Verdict } from '@wirelet/runtime';

export function onPacket(packet: Packet): Verdict {
  Ethernet.of(packet).swapAddresses();
  return Verdict.Pass;
}
