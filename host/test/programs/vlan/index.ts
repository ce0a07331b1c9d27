/** A VLAN interface: port 0 is the interface that carries the VLAN, port 1 the VLAN's own. */
import { Packet, Settings, Verdict, Vlan } from '@wirelet/runtime';

const CARRIER = 0;
const INTERFACE = 1;
const id = Settings.u32('id', 5);

export function onPacket(packet: Packet): Verdict {
  if (packet.port == INTERFACE) {
    if (!Vlan.insert(packet, id)) return Verdict.Drop;
    return packet.redirect(CARRIER);
  }
  const tag = Vlan.of(packet);
  if (tag == null || tag.id != id || !Vlan.remove(packet)) return Verdict.Drop;
  return packet.redirect(INTERFACE);
}
