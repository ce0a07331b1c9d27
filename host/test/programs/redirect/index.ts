import { Packet, Settings, Verdict } from '@wirelet/runtime';

const port = Settings.u32('port', 0);

/** Redirects packets with an even last byte of the source address, punts the rest. */
export function onPacket(packet: Packet): Verdict {
  if ((packet.readU8(29) & 1) == 0) return packet.redirect(port);
  return Verdict.Punt;
}
