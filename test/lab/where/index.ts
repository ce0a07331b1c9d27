// Writes the lcore that runs it and the hash that the device gave into each packet, behind its
// number, and sends it out by the other port.

import { Burst, Verdict } from '@wirelet/runtime';

/** Ethernet, IPv4, UDP, and the packet's number. */
const LCORE_OFFSET: u32 = 46;
const HASH_OFFSET: u32 = 50;

export function onBurst(burst: Burst): void {
  for (let i: u32 = 0; i < burst.count; i++) {
    const packet = burst.packet(i);
    if (packet.length < HASH_OFFSET + 4) {
      packet.verdict = Verdict.Drop;
      continue;
    }
    packet.writeU32(LCORE_OFFSET, burst.lcore);
    packet.writeU32(HASH_OFFSET, packet.hash);
    packet.verdict = packet.redirect(packet.port ^ 1);
  }
}
