// `npm run bench:tables`: a u32 to a u64, read. A packet says how many lookups, and where to begin;
// the answer is their sum, which native/engine/examples/lookups compares with native code's.

import { Burst, HashTable, Packet, Settings, Verdict } from '@wirelet/runtime';

const bits = Settings.u32('bits', 10);
const numbers = HashTable.of<u32, u64>('table', 1 << bits);

export function onBurst(burst: Burst): void {
  for (let i: u32 = 0; i < burst.count; i++) {
    const packet = burst.packet(i);
    packet.mark = packet.readU8(14) == 0 ? fill() : sum(packet);
    packet.verdict = Verdict.Pass;
  }
}

function fill(): u32 {
  const count: u32 = 1 << bits;
  for (let id: u32 = 0; id < count; id++) numbers.set(id, id);
  return numbers.count;
}

function sum(packet: Packet): u32 {
  let left = packet.readU32(16);
  const base = packet.mark;
  let state = packet.readU32(24);
  const shift: u32 = packet.readU8(15);
  let sum: u64 = 0;
  do {
    state = state * 1_664_525 + 1_013_904_223;
    sum += numbers.getOr((state >> shift) + base, 1);
  } while (--left > 0);
  return sum as u32;
}
