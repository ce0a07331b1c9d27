// A learning bridge (IEEE 802.1D, 7.7 to 7.9): README.md says what it does with which frame.

import { Clock, Counter, Ethernet, LruTable, Packet, Settings, Verdict } from '@wirelet/runtime';

/** Bit of the first byte of a MAC address: a group, which nobody sends from. */
const GROUP: u64 = 1 << 40;
/** 01:80:c2:00:00:00 to 0f, which bridges keep to themselves (802.1D, table 7-10). */
const RESERVED: u64 = 0x0180_c200_0000;
const RESERVED_MASK: u64 = 0xffff_ffff_fff0;
const NS_PER_SECOND: u64 = 1_000_000_000;

class Station {
  lastNs: u64 = 0;
  port: u16 = 0;
}

const ageNs = <u64>Settings.u32('ageSeconds', 300) * NS_PER_SECOND;
const stations = LruTable.of<u64, Station>('stations', Settings.u32('capacity', 8192));

const forwarded = Counter.of('forwarded');
const flooded = Counter.of('flooded');
const filtered = Counter.of('filtered');
const reserved = Counter.of('reserved');
const invalid = Counter.of('invalid');
const learned = Counter.of('learned');
const moved = Counter.of('moved');

export function onPacket(packet: Packet): Verdict {
  const ethernet = Ethernet.of(packet);
  const source = ethernet.source;
  if ((source & GROUP) != 0 || source == 0) return drop(invalid);
  const destination = ethernet.destination;
  if ((destination & RESERVED_MASK) == RESERVED) return drop(reserved);
  learn(source, packet.port);
  if (ethernet.isMulticast) return flood(packet);
  const station = stations.get(destination);
  if (station == null || isOld(station)) return flood(packet);
  const port: u32 = station.port;
  if (port == packet.port) return drop(filtered);
  forwarded.add(1);
  return packet.redirect(port);
}

function learn(source: u64, port: u32): void {
  const station = stations.getOrInsert(source);
  if (station.lastNs == 0 || isOld(station)) learned.add(1);
  else if (station.port != <u16>port) moved.add(1);
  station.port = <u16>port;
  station.lastNs = Clock.nowNs;
}

/** What is old is as good as gone: nobody has to look for it. */
function isOld(station: Station): bool {
  return Clock.nowNs - station.lastNs > ageNs;
}

function drop(counter: Counter): Verdict {
  counter.add(1);
  return Verdict.Drop;
}

function flood(packet: Packet): Verdict {
  flooded.add(1);
  return packet.flood();
}
