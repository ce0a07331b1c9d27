// Looks addresses up: 4 bytes behind the Ethernet header, or 16 where the type is 6.

import { Lpm6Table, LpmTable, Packet, Settings, Verdict } from '@wirelet/runtime';

const capacity = Settings.u32('capacity', 100);
const routes = LpmTable.shared('routes', capacity);
const routes6 = Lpm6Table.shared('routes6', capacity);

export function onPacket(packet: Packet): Verdict {
  const isWide = packet.readU8(14) == 6;
  packet.mark = isWide
    ? routes6.find(packet.readU64(16), packet.readU64(24))
    : routes.find(packet.readU32(16));
  return packet.mark == LpmTable.NONE ? Verdict.Drop : Verdict.Pass;
}
