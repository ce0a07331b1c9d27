// Version A of `mark`, which runs in odd generations: writes into the source address how often the
// packet was marked, by which version, and in which generation.
import { Burst, Verdict } from '@wirelet/runtime';

const VERSION: u8 = 0x41;

export function onBurst(burst: Burst): void {
  const generation = burst.generation;
  for (let i: u32 = 0; i < burst.count; i++) {
    const packet = burst.packet(i);
    packet.writeU8(6, packet.readU8(6) + 1);
    packet.writeU8(7, VERSION);
    packet.writeU32(8, generation);
    packet.verdict = Verdict.Pass;
  }
}
