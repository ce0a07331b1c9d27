import { HashTable, Packet, Settings, Verdict } from '@wirelet/runtime';

const flows = HashTable.of<u32, u64>('flows', Settings.u32('capacity', 1024));

/** Counts packets by the flow in their generator's stamp, the last 18 bytes. */
export function onPacket(packet: Packet): Verdict {
  flows.add(packet.readU32(packet.length - 16), 1);
  return Verdict.Pass;
}
