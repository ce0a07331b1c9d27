import { Packet, Verdict } from '@wirelet/runtime';

export function onLoad(): void {
  throw new Error('not today');
}

export function onPacket(packet: Packet): Verdict {
  return packet.length > 0 ? Verdict.Pass : Verdict.Drop;
}
