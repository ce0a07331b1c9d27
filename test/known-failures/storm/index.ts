import { ArrayTable, Clock, Counter, Packet, Verdict } from '@wirelet/runtime';

const faults = Counter.of('faults');
/** When each fault's burst began, in nanoseconds. */
const times = ArrayTable.of<u64>('times', 64);

/** Faults on its first packet, whenever it is brought back. */
export function onPacket(packet: Packet): Verdict {
  times.set(<u32>faults.value, Clock.nowNs);
  faults.add(1);
  if (packet.length > 0) throw new Error('again');
  return Verdict.Pass;
}
