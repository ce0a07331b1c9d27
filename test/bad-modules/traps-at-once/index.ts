import { HashTable, Packet, Verdict } from '@wirelet/runtime';

const flows = HashTable.of<u32, u64>('flows', 1024);

export function onPacket(packet: Packet): Verdict {
  if (packet.readU8(packet.length) > flows.capacity) return Verdict.Drop;
  return Verdict.Pass;
}
