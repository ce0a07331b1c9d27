import { Packet, Verdict } from '@wirelet/runtime';

declare function launch(missiles: u32): void;

export function onPacket(packet: Packet): Verdict {
  launch(packet.length);
  return Verdict.Pass;
}
