import { Counter, Packet, Settings, Verdict } from '@wirelet/runtime';

const mark = Settings.u32('mark', 0);
const marked = Counter.of('marked');

/** Marks every packet with a number. */
export function onPacket(packet: Packet): Verdict {
  packet.mark = mark;
  marked.add(1);
  return Verdict.Pass;
}
