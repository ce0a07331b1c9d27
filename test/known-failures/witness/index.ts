import { ArrayTable, Counter, Ipv4, Packet, Protocol, Verdict } from '@wirelet/runtime';

const packets = Counter.of('packets');
const tcp = Counter.of('tcp');
/** Packets by the version that marked them. */
const marks = ArrayTable.of<u64>('marks', 256);

/** Says what came out of the programs before it. */
export function onPacket(packet: Packet): Verdict {
  packets.add(1);
  marks.add(packet.mark & 255, 1);
  const ip = Ipv4.of(packet);
  if (ip != null && ip.protocol == Protocol.Tcp) tcp.add(1);
  return Verdict.Pass;
}
