import { log, Packet, Verdict } from '@wirelet/runtime';

export function onPacket(packet: Packet): Verdict {
  log('a packet');
  return Verdict.Pass;
}
