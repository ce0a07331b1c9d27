import {
  ArrayTable,
  Counter,
  HashTable,
  Ipv4,
  LpmTable,
  Packet,
  Settings,
  Verdict,
} from '@wirelet/runtime';

class Flow {
  source: u32 = 0;
  destination: u32 = 0;
}

class Seen {
  packets: u64 = 0;
  bytes: u64 = 0;
}

const flows = HashTable.of<Flow, Seen>('flows', Settings.u32('capacity', 1024));
const limits = HashTable.shared<u32, u64>('limits', 64);
const routes = LpmTable.shared('routes', 256);
const marks = ArrayTable.of<u64>('marks', 8);
const limited = Counter.of('limited');
const key = new Flow();
const value = new Seen();

/** Counts packets by flow; drops what comes from a listed source, marks by the route. */
export function onPacket(packet: Packet): Verdict {
  const ip = Ipv4.of(packet);
  if (ip == null) return Verdict.Pass;
  key.source = ip.source;
  key.destination = ip.destination;
  const seen = flows.get(key);
  if (seen == null) {
    value.packets = 1;
    value.bytes = packet.length;
    flows.set(key, value);
  } else {
    seen.packets += 1;
    seen.bytes += packet.length;
  }
  if (limits.has(ip.source)) {
    limited.add(1);
    return Verdict.Drop;
  }
  const route = routes.find(ip.destination);
  packet.mark = route == LpmTable.NONE ? 0 : route;
  marks.add(packet.mark & 7, 1);
  return Verdict.Pass;
}
