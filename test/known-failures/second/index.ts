import { Counter, Packet, Settings, Verdict } from '@wirelet/runtime';

const version = Settings.u32('version', 0);
const packets = Counter.of('packets');
const mixed = Counter.of('mixed');

/** Follows `mark` in its chain, and is always changed together with it. */
export function onPacket(packet: Packet): Verdict {
  packets.add(1);
  if (packet.mark != version) mixed.add(1);
  return Verdict.Pass;
}
