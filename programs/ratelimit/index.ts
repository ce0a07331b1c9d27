// Limits how much each source sends: a token bucket for each. README.md says what a source is.

import {
  Counter,
  EthernetPayload,
  EtherType,
  Ipv4,
  Ipv6,
  LruTable,
  Meter,
  Packet,
  Rate,
  Settings,
  Verdict,
} from '@wirelet/runtime';

/** ::ffff:0:0/96, under which IPv4 addresses stand among IPv6 ones (RFC 4291, 2.5.5.2). */
const IPV4_MAPPED: u64 = 0xffff_0000_0000;
const BITS_PER_BYTE: u64 = 8;
/** Tokens of a nanosecond, in billionths, then fit into a u64 beside the largest burst. */
const RATE_MAX: f64 = 1e15;
const PACKET_BYTES: u64 = 1514;

class Source {
  high: u64 = 0;
  low: u64 = 0;
}

const countsBits = Settings.has('bitsPerSecond');
const rate = rateOf(countsBits ? 'bitsPerSecond' : 'packetsPerSecond');
const mask4 = <u32>maskOf(prefixOf('prefix4', 32, 32), 32);
const prefix6 = prefixOf('prefix6', 64, 128);
const high6 = maskOf(min(prefix6, 64), 64);
const low6 = maskOf(max(prefix6, 64) - 64, 64);
const sources = LruTable.of<Source, Meter>('sources', Settings.u32('capacity', 65536));
const source = new Source();

const passed = Counter.of('passed');
const limited = Counter.of('limited');
const other = Counter.of('other');

export function onPacket(packet: Packet): Verdict {
  if (!findSource(packet)) {
    other.add(1);
    return Verdict.Pass;
  }
  const cost: u64 = countsBits ? <u64>packet.length * BITS_PER_BYTE : 1;
  if (sources.getOrInsert(source).take(rate, cost)) {
    passed.add(1);
    return Verdict.Pass;
  }
  limited.add(1);
  return Verdict.Drop;
}

/** Whose packet it is; false when it is not IP. */
function findSource(packet: Packet): bool {
  const payload = EthernetPayload.of(packet);
  if (payload.type == EtherType.Ipv4) {
    const ip = Ipv4.of(packet, payload.offset);
    if (ip == null) return false;
    source.high = 0;
    source.low = IPV4_MAPPED | (ip.source & mask4);
    return true;
  }
  if (payload.type != EtherType.Ipv6) return false;
  const ip = Ipv6.of(packet, payload.offset);
  if (ip == null) return false;
  source.high = ip.sourceHigh & high6;
  source.low = ip.sourceLow & low6;
  return true;
}

function rateOf(name: string): Rate {
  if (Settings.has('bitsPerSecond') == Settings.has('packetsPerSecond')) {
    throw new TypeError('set either packetsPerSecond or bitsPerSecond');
  }
  const perSecond = Settings.number(name, 0);
  if (!(perSecond >= 1 && perSecond <= RATE_MAX && Math.floor(perSecond) == perSecond)) {
    throw new RangeError('setting "' + name + '" must be a whole number from 1 to 10^15');
  }
  const unit: u64 = countsBits ? BITS_PER_BYTE : 1;
  const least: u64 = countsBits ? PACKET_BYTES : 1;
  const usual = min(max(<u64>perSecond / 10 / unit, least), <u64>u32.MAX_VALUE / unit);
  return new Rate(<u64>perSecond, <u64>Settings.u32('burst', <u32>usual) * unit);
}

function prefixOf(name: string, otherwise: u32, most: u32): u32 {
  const bits = Settings.u32(name, otherwise);
  if (bits > most) throw new RangeError('setting "' + name + '" is at most ' + most.toString());
  return bits;
}

/** The upper `bits` of a word of `width`. */
function maskOf(bits: u32, width: u32): u64 {
  return bits == 0 ? 0 : u64.MAX_VALUE << (width - bits);
}
