// Counts packets and bytes of each IPv4 flow in a table that outlives the program. README.md says
// what a flow is.

import {
  Clock,
  Counter,
  EthernetPayload,
  EtherType,
  HashTable,
  Ipv4,
  LruTable,
  Packet,
  Protocol,
  Settings,
  Verdict,
} from '@wirelet/runtime';

class FlowKey {
  source: u32 = 0;
  destination: u32 = 0;
  sourcePort: u16 = 0;
  destinationPort: u16 = 0;
  protocol: u8 = 0;
}

class Flow {
  packets: u64 = 0;
  bytes: u64 = 0;
  lastNs: u64 = 0;
}

const capacity = Settings.u32('capacity', 65536);
const replaceOldest = Settings.boolean('replaceOldest', false);
const flows: HashTable<FlowKey, Flow> | null = replaceOldest
  ? null
  : HashTable.of<FlowKey, Flow>('flows', capacity);
const recent: LruTable<FlowKey, Flow> | null = replaceOldest
  ? LruTable.of<FlowKey, Flow>('flows', capacity)
  : null;
const key = new FlowKey();

const counted = Counter.of('counted');
const full = Counter.of('full');
const other = Counter.of('other');

export function onPacket(packet: Packet): Verdict {
  if (!findKey(packet)) {
    other.add(1);
    return Verdict.Pass;
  }
  const flow = findFlow();
  if (flow == null) {
    full.add(1);
    return Verdict.Pass;
  }
  counted.add(1);
  flow.packets++;
  flow.bytes += packet.length;
  flow.lastNs = Clock.nowNs;
  return Verdict.Pass;
}

/** The flow of the key, a new one if need be; null when there is no room. */
function findFlow(): Flow | null {
  const table = flows;
  if (table != null) return table.getOrInsert(key);
  const replacing = recent;
  return replacing != null ? replacing.getOrInsert(key) : null;
}

/** Names the flow of a packet; false when it is not IPv4. */
function findKey(packet: Packet): bool {
  const ethernet = EthernetPayload.of(packet);
  if (ethernet.type != EtherType.Ipv4) return false;
  const ip = Ipv4.of(packet, ethernet.offset);
  if (ip == null) return false;
  key.source = ip.source;
  key.destination = ip.destination;
  key.protocol = ip.protocol as u8;
  const ports = ethernet.offset + ip.headerLength;
  const isWhole = !ip.isLaterFragment && ip.totalLength >= ip.headerLength + 4;
  const hasPorts = isWhole && (ip.protocol == Protocol.Tcp || ip.protocol == Protocol.Udp);
  key.sourcePort = hasPorts ? packet.readU16(ports) : 0;
  key.destinationPort = hasPorts ? packet.readU16(ports + 2) : 0;
  return true;
}
