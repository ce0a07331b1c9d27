import { Packet, Verdict } from '@wirelet/runtime';

let rounds: u32 = 0;

export function onLoad(): void {
  while (true) rounds++;
}

/** Never gets to see a packet. */
export function onPacket(packet: Packet): Verdict {
  return packet.length > rounds ? Verdict.Pass : Verdict.Drop;
}
