// Sets one key for each packet: in which order it writes is in lookup.test.ts.

import { HashTable, Packet, Verdict } from '@wirelet/runtime';

const marks = HashTable.of<u32, u64>('marks', 1000);

export function onPacket(packet: Packet): Verdict {
  return marks.set(packet.hash, 7) ? Verdict.Pass : Verdict.Drop;
}
