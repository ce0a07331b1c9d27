// Counts into arrays: operation, index, amount, behind the Ethernet header.

import { ArrayTable, FixedArray, Histogram, Packet, Verdict } from '@wirelet/runtime';

class Port {
  packets: u64 = 0;
  bytes: u32 = 0;
}

const ports = ArrayTable.of<Port>('ports', 5);
const bytes = ArrayTable.of<u8>('bytes', 7);
const shares = ArrayTable.of<f64>('shares', 2);
const fixed = FixedArray.of<u16>(3);
const sizes = Histogram.of('sizes');

export function onPacket(packet: Packet): Verdict {
  const operation = packet.readU8(14);
  const index = packet.readU32(16);
  const amount = packet.readU64(20);
  if (operation == 0) {
    const port = ports.at(index);
    port.packets++;
    port.bytes += amount as u32;
    packet.mark = port.bytes;
  } else if (operation == 1) {
    bytes.set(index, amount as u8);
  } else if (operation == 2) {
    bytes.add(index, amount as u8);
    packet.mark = bytes.get(index);
  } else if (operation == 3) {
    shares.add(index, 0.5);
    packet.mark = shares.get(index) as u32;
  } else if (operation == 4) {
    sizes.record(amount);
    packet.mark = Histogram.bucket(amount);
  } else if (operation == 5) {
    packet.mark = sizes.count(index) as u32;
  } else if (operation == 7) {
    fixed.set(index, amount as u16);
    packet.mark = fixed.length;
  } else if (operation == 8) {
    packet.mark = fixed.get(index);
  } else {
    packet.mark = ports.length;
  }
  return Verdict.Pass;
}
