// Takes from the meter that a packet names, at the time that it says: meter, cost, nanoseconds.

import { ArrayTable, LruTable, Meter, Packet, Rate, Settings, Verdict } from '@wirelet/runtime';

const rate = new Rate(
  Settings.number('perSecond', 1000) as u64,
  Settings.number('burst', 10) as u64,
);
const fast = new Rate(u64.MAX_VALUE, 9_223_372_036);
const meters = ArrayTable.of<Meter>('meters', 4);
const sources = LruTable.of<u32, Meter>('sources', 100);

export function onPacket(packet: Packet): Verdict {
  const which = packet.readU8(14);
  const cost = packet.readU64(16);
  const nowNs = packet.readU64(24);
  let passes: bool = false;
  if (which < 4) passes = meters.at(which).take(rate, cost, nowNs);
  else if (which == 4) passes = meters.at(0).take(fast, cost, nowNs);
  else if (which == 5) passes = sources.getOrInsert(packet.readU32(32)).take(rate, cost);
  else passes = meters.at(which).take(rate, cost);
  return passes ? Verdict.Pass : Verdict.Drop;
}
