import { HashTable, Ipv4, Packet, Verdict } from '@wirelet/runtime';

class Key {
  source: u32 = 0;
  destination: u32 = 0;
}
class Flow {
  packets: u64 = 0;
  bytes: u64 = 0;
}

const flows = HashTable.of<Key, Flow>('flows', 4096);
const key = new Key();

/** Counts every packet in the table, in place. */
export function onPacket(packet: Packet): Verdict {
  const ip = Ipv4.of(packet);
  if (ip == null) return Verdict.Drop;
  key.source = ip.source;
  key.destination = ip.destination;
  const flow = flows.getOrInsert(key);
  if (flow == null) return Verdict.Drop;
  flow.packets += 1;
  flow.bytes += packet.length;
  return Verdict.Pass;
}
