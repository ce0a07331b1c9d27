import { Packet, Verdict } from '@wirelet/runtime';

/** Punts every packet, marked. */
export function onPacket(packet: Packet): Verdict {
  packet.mark = 7;
  return Verdict.Punt;
}
