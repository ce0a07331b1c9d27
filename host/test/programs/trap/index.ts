import { Counter, Packet, Settings, Verdict } from '@wirelet/runtime';

const length = Settings.u32('length', 0);
const seen = Counter.of('seen');

/** Reads behind the end of packets of one length; passes the rest. */
export function onPacket(packet: Packet): Verdict {
  seen.add(1);
  if (packet.length == length && packet.readU8(length) != 0) return Verdict.Drop;
  return Verdict.Pass;
}
