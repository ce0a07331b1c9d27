// `npm run bench:tables`: a 5-tuple to packets and bytes, which are counted up. See numbers/.

import { Burst, HashTable, Packet, Settings, Verdict } from '@wirelet/runtime';

class FlowKey {
  source: u32 = 0;
  destination: u32 = 0;
  sourcePort: u16 = 0;
  destinationPort: u16 = 0;
  protocol: u8 = 0;

  set(id: u32): void {
    this.source = id;
    this.destination = ~id;
    this.sourcePort = id as u16;
    this.destinationPort = 443;
    this.protocol = 17;
  }
}

class Flow {
  packets: u64 = 0;
  bytes: u64 = 0;
}

const bits = Settings.u32('bits', 10);
const flows = HashTable.of<FlowKey, Flow>('table', 1 << bits);
const key = new FlowKey();

export function onBurst(burst: Burst): void {
  for (let i: u32 = 0; i < burst.count; i++) {
    const packet = burst.packet(i);
    packet.mark = packet.readU8(14) == 0 ? fill() : touch(packet);
    packet.verdict = Verdict.Pass;
  }
}

function fill(): u32 {
  const count: u32 = 1 << bits;
  for (let id: u32 = 0; id < count; id++) {
    key.set(id);
    flows.getOrInsert(key);
  }
  return flows.count;
}

function touch(packet: Packet): u32 {
  let left = packet.readU32(16);
  const base = packet.mark;
  let state = packet.readU32(24);
  const shift: u32 = packet.readU8(15);
  let sum: u64 = 0;
  do {
    state = state * 1_664_525 + 1_013_904_223;
    key.set((state >> shift) + base);
    const flow = flows.get(key);
    if (flow != null) {
      flow.packets++;
      flow.bytes += 64;
      sum += flow.packets;
    }
  } while (--left > 0);
  return sum as u32;
}
