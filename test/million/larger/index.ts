import { ArrayTable, HashTable, Packet, Verdict } from '@wirelet/runtime';

/** What the n-th packet leaves behind its key. */
class Entry {
  /** n + 1. */
  step: u32 = 0;
  /** Of key and step: says that both belong together. */
  check: u32 = 0;
}

const KEYS: u32 = 1 << 20;

const flows = HashTable.of<u32, Entry>('flows', 1 << 21);
/** Packets so far: it outlives the process as the flows do. */
const clock = ArrayTable.of<u32>('clock', 1);
const entry = new Entry();

/** Packet n sets the key that n stands for, or, every eighth, deletes it. */
export function onPacket(packet: Packet): Verdict {
  const n = clock.get(0);
  const key = keyOf(n);
  if ((n & 7) == 7) {
    flows.delete(key);
  } else {
    entry.step = n + 1;
    entry.check = ((n + 1) * 0x9e3779b1) ^ key;
    if (!flows.set(key, entry)) return Verdict.Drop;
  }
  clock.set(0, n + 1);
  return Verdict.Pass;
}

function keyOf(n: u32): u32 {
  let h = (n ^ 0x9e3779b9) * 0x85ebca6b;
  h = (h ^ (h >> 13)) * 0xc2b2ae35;
  return (h ^ (h >> 16)) & (KEYS - 1);
}
