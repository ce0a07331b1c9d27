import { HashTable, Packet, Verdict } from '@wirelet/runtime';

class Flow {
  source: u32 = 0;
  port: u16 = 0;
}

const flows = HashTable.of<Flow, u32>('flows', 1024);

/** The table of `flows`, of another shape. */
export function onPacket(packet: Packet): Verdict {
  packet.mark = flows.count;
  return Verdict.Pass;
}
