// `npm run bench:tables`: IPv4 addresses to next hops; the shift says of how many addresses. See
// numbers/.

import { Burst, LpmTable, Packet, Verdict } from '@wirelet/runtime';

const routes = LpmTable.shared('table', 1_000_000);

export function onBurst(burst: Burst): void {
  for (let i: u32 = 0; i < burst.count; i++) {
    const packet = burst.packet(i);
    packet.mark = sum(packet);
    packet.verdict = Verdict.Pass;
  }
}

function sum(packet: Packet): u32 {
  const shift: u32 = packet.readU8(15);
  let left = packet.readU32(16);
  let state = packet.readU32(24);
  let sum: u64 = 0;
  do {
    state = state * 1_664_525 + 1_013_904_223;
    sum += routes.find((state >> shift) * 0x9e37_79b1);
  } while (--left > 0);
  return sum as u32;
}
