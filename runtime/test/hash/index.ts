// Does with its tables what packets ask for: operation, key, value, behind the Ethernet header.
// The answer goes back into the packet.

import { HashTable, Packet, Settings, Verdict } from '@wirelet/runtime';

class FlowKey {
  source: u32 = 0;
  destination: u32 = 0;
  sourcePort: u16 = 0;
  destinationPort: u16 = 0;
  protocol: u8 = 0;
}

class Flow {
  packets: u64 = 0;
  bytes: u32 = 0;
  state: u8 = 0;
}

const capacity = Settings.u32('capacity', 1000);
const flows = HashTable.of<FlowKey, Flow>('flows', capacity);
const numbers = HashTable.of<u32, u64>('numbers', capacity);
const small = HashTable.of<u8, i16>('small', 256);
const key = new FlowKey();
const value = new Flow();

const ANSWER: u32 = 32;

export function onPacket(packet: Packet): Verdict {
  const table = packet.readU8(14);
  const operation = packet.readU8(15);
  const id = packet.readU32(16);
  const amount = packet.readU64(20);
  let answer: u64 = 0;
  if (table == 0) answer = onFlows(operation, id, amount);
  else if (table == 1) answer = onNumbers(operation, id, amount);
  else answer = onSmall(operation, id, amount);
  packet.writeU64(ANSWER, answer);
  return Verdict.Pass;
}

function onFlows(operation: u8, id: u32, amount: u64): u64 {
  key.source = id;
  key.destination = ~id;
  key.sourcePort = id as u16;
  key.destinationPort = 443;
  key.protocol = (id >> 8) as u8;
  if (operation == 0) {
    const flow = flows.get(key);
    return flow == null ? u64.MAX_VALUE : flow.packets + flow.bytes;
  }
  if (operation == 1) {
    value.packets = amount;
    value.bytes = amount as u32;
    value.state = 1;
    return flows.set(key, value) ? 1 : 0;
  }
  if (operation == 2) return flows.delete(key) ? 1 : 0;
  if (operation == 3) return flows.has(key) ? 1 : 0;
  if (operation == 4) {
    const flow = flows.getOrInsert(key);
    if (flow == null) return u64.MAX_VALUE;
    flow.packets += amount;
    return flow.packets + flow.bytes;
  }
  return flows.count;
}

function onNumbers(operation: u8, id: u32, amount: u64): u64 {
  if (operation == 0) return numbers.getOr(id, u64.MAX_VALUE);
  if (operation == 1) return numbers.set(id, amount) ? 1 : 0;
  if (operation == 2) return numbers.delete(id) ? 1 : 0;
  if (operation == 3) return numbers.has(id) ? 1 : 0;
  if (operation == 4) return numbers.add(id, amount) ? 1 : 0;
  return numbers.count;
}

function onSmall(operation: u8, id: u32, amount: u64): u64 {
  const key = id as u8;
  if (operation == 0) return small.getOr(key, -1) as u64;
  if (operation == 1) return small.set(key, amount as i16) ? 1 : 0;
  if (operation == 2) return small.delete(key) ? 1 : 0;
  if (operation == 3) return small.has(key) ? 1 : 0;
  if (operation == 4) return small.add(key, amount as i16) ? 1 : 0;
  return small.count;
}
