// Does with an LRU table what packets ask for: operation, key, value, behind the Ethernet header.
// The answer goes back into the packet.

import { LruTable, Packet, Settings, Verdict } from '@wirelet/runtime';

class Key {
  low: u16 = 0;
  high: u32 = 0;
}

class Value {
  sum: u64 = 0;
  last: u64 = 0;
}

const capacity = Settings.u32('capacity', 8);
const values = LruTable.of<Key, Value>('values', capacity);
const numbers = LruTable.of<u64, u32>('numbers', capacity);
const key = new Key();
const value = new Value();

const ANSWER: u32 = 32;

export function onPacket(packet: Packet): Verdict {
  const operation = packet.readU8(15);
  const id = packet.readU32(16);
  const amount = packet.readU64(20);
  const answer =
    packet.readU8(14) == 0 ? onValues(operation, id, amount) : onNumbers(operation, id, amount);
  packet.writeU64(ANSWER, answer);
  return Verdict.Pass;
}

function onValues(operation: u8, id: u32, amount: u64): u64 {
  key.low = id as u16;
  key.high = id;
  if (operation == 0) {
    const found = values.get(key);
    return found == null ? u64.MAX_VALUE : found.sum;
  }
  if (operation == 1) {
    value.sum = amount;
    value.last = amount;
    values.set(key, value);
    return 1;
  }
  if (operation == 2) return values.delete(key) ? 1 : 0;
  if (operation == 3) return values.has(key) ? 1 : 0;
  if (operation == 4) {
    const found = values.getOrInsert(key);
    found.sum += amount;
    return 1;
  }
  return values.count;
}

function onNumbers(operation: u8, id: u32, amount: u64): u64 {
  if (operation == 0) return numbers.getOr(id, u32.MAX_VALUE);
  if (operation == 1) numbers.set(id, amount as u32);
  if (operation == 2) return numbers.delete(id) ? 1 : 0;
  if (operation == 3) return numbers.has(id) ? 1 : 0;
  if (operation == 4) numbers.add(id, amount as u32);
  return operation == 5 ? numbers.count : 1;
}
