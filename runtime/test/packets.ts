// Packets for fuzzing, the same ones for the same seed: sound ones of every kind that views know,
// and ones with a few bits, bytes, lengths or their ends changed.

import { concat, u8, u16 } from 'wirelet/test';
import * as frames from 'wirelet/test/layers';
import { type Layer, raw } from 'wirelet/test/layers';

/** Numbers by chance, always the same ones for a seed (mulberry32). */
export class Random {
  constructor(private state: number) {}

  /** From 0 up to, not including, `end`. */
  below(end: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  percent(chance: number): boolean {
    return this.below(100) < chance;
  }

  pick<T>(...from: readonly T[]): T {
    return from[this.below(from.length)] as T;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.below(256));
  }
}

/** A packet: a sound one, or, more often than not, one that was changed. */
export function anyPacket(random: Random): Uint8Array {
  const frame = soundPacket(random);
  return random.percent(40) ? frame : changed(random, frame);
}

function soundPacket(random: Random): Uint8Array {
  let payload = random.pick(ipv4, ipv4, ipv4, ipv6, ipv6, ipv6, arp, other)(random);
  const tags = random.percent(50) ? 0 : random.below(random.percent(10) ? 11 : 4);
  for (let i = 0; i < tags; i++) {
    const tag = random.pick(0x8100, 0x88a8, 0x9100);
    payload = frames.vlan({ id: random.below(4096), priority: random.below(8), tag, payload });
  }
  const group = random.pick('02:00:00:00:00:02', 'ff:ff:ff:ff:ff:ff', '33:33:00:00:00:01');
  return frames.ethernet({ destination: group, payload, pad: random.pick(0, 60, 60, 120) });
}

function other(random: Random): Layer {
  return raw(random.bytes(random.below(80)), random.pick(0x88cc, 0x8847, 0x88e5, 0x0026, 0x0600));
}

function arp(random: Random): Layer {
  const operation = random.pick(1, 2, random.below(65536));
  return frames.arp({ operation, senderIp: address4(random), targetIp: address4(random) });
}

function ipv4(random: Random): Layer {
  const options = random.percent(70) ? new Uint8Array(0) : random.bytes(4 * random.below(11));
  const fields = {
    source: address4(random),
    destination: address4(random),
    timeToLive: random.below(256),
    identification: random.below(65536),
    dontFragment: random.percent(50),
    options,
    payload: random.percent(95) ? upper(random, 4) : frames.authentication(upper(random, 4)),
  };
  if (random.percent(80)) return frames.ipv4(fields);
  const fragmentOffset = random.pick(0, 8 * random.below(8192));
  return frames.ipv4({ ...fields, fragmentOffset, moreFragments: random.percent(70) });
}

function ipv6(random: Random): Layer {
  let payload = upper(random, 6);
  const count = random.percent(40) ? 0 : random.below(random.percent(5) ? 20 : 5);
  for (let i = 0; i < count; i++) payload = extension(random, payload);
  if (random.percent(20)) payload = frames.extension(0, payload, 1 + random.below(3));
  return frames.ipv6({
    source: address6(random),
    destination: address6(random),
    hopLimit: random.below(256),
    trafficClass: random.below(256),
    flowLabel: random.below(1 << 20),
    payload,
  });
}

function extension(random: Random, payload: Layer): Layer {
  const kind = random.below(100);
  if (kind < 35) return frames.extension(60, payload, 1 + random.below(3));
  if (kind < 60) return frames.extension(43, payload, 1 + random.below(3));
  if (kind < 75) return frames.authentication(payload);
  if (kind < 78) return frames.extension(0, payload);
  if (kind < 85) return frames.fragment(payload, 0, false);
  return frames.fragment(payload, random.pick(0, 8 * random.below(8192)), random.percent(60));
}

/** What an IP header carries: mostly what it should. */
function upper(random: Random, version: 4 | 6): Layer {
  const kind = random.below(100);
  if (kind < 35) return udp(random);
  if (kind < 70) return tcp(random);
  if (kind < 90) return (version === 4) === random.percent(95) ? icmp(random) : icmpv6(random);
  return raw(random.bytes(random.below(60)), random.pick(2, 47, 50, 51, 59, 89, 132, 135));
}

function udp(random: Random): Layer {
  const datagram = frames.udp({
    sourcePort: random.below(65536),
    destinationPort: random.below(65536),
    payload: random.bytes(random.below(60)),
    ...(random.percent(10) ? { checksum: random.pick(0, 0xffff) } : {}),
  });
  // Bytes that IP has and UDP has not (RFC 9868): no checksum covers them.
  const surplus = random.percent(10) ? random.bytes(random.below(12)) : new Uint8Array(0);
  return { type: 17, bytes: (pseudo) => concat(datagram.bytes(pseudo), surplus) };
}

function tcp(random: Random): Layer {
  const known = [
    concat(u8(2), u8(4), u16(random.below(65536))),
    concat(u8(3), u8(3), u8(random.below(15)), u8(1)),
    concat(u8(4), u8(2), u16(0x0101)),
    concat(u8(8), u8(10), random.bytes(8), u16(0x0101)),
    concat(u16(0x0101), u8(5), u8(10), random.bytes(8)),
    Uint8Array.of(0, 0, 0, 0),
  ];
  let options = random.percent(10) ? random.bytes(4 * random.below(11)) : new Uint8Array(0);
  if (random.percent(60)) options = concat(options, random.pick(...known), random.pick(...known));
  return frames.tcp({
    sourcePort: random.below(65536),
    destinationPort: random.below(65536),
    sequence: random.below(2 ** 32),
    acknowledgment: random.below(2 ** 32),
    flags: random.below(256),
    window: random.below(65536),
    options: options.subarray(0, 40),
    payload: random.bytes(random.below(60)),
  });
}

function icmp(random: Random): Layer {
  return frames.icmp(message(random, random.pick(0, 3, 5, 8, 11, 13, 14, random.below(256))));
}

function icmpv6(random: Random): Layer {
  return frames.icmpv6(message(random, random.pick(1, 2, 128, 135, 136, random.below(256))));
}

function message(random: Random, type: number): frames.IcmpFields {
  return {
    type,
    code: random.pick(0, 0, random.below(256)),
    identifier: random.below(65536),
    sequence: random.below(65536),
    payload: random.bytes(random.pick(12, random.below(40))),
  };
}

function address4(random: Random): string {
  return random.bytes(4).join('.');
}

function address6(random: Random): string {
  return Array.from({ length: 8 }, () => random.below(65536).toString(16)).join(':');
}

/** A copy with one to three changes; it keeps its 14 bytes of Ethernet header. */
function changed(random: Random, frame: Uint8Array): Uint8Array {
  let packet: Uint8Array = frame.slice();
  for (let i = random.below(3); i >= 0; i--) {
    packet = random.pick(flip, overwrite, lie, lie, truncate, lengthen)(random, packet);
  }
  return packet;
}

/** A place in the headers rather than in the payload. */
function place(random: Random, packet: Uint8Array, bytes: number): number {
  const from = random.percent(90) ? 12 : 0;
  return from + random.below(Math.max(1, Math.min(packet.length, 100) - from - bytes + 1));
}

function flip(random: Random, packet: Uint8Array): Uint8Array {
  const at = place(random, packet, 1);
  packet[at] = (packet[at] ?? 0) ^ (1 << random.below(8));
  return packet;
}

function overwrite(random: Random, packet: Uint8Array): Uint8Array {
  packet[place(random, packet, 1)] = random.pick(random.below(256), 0, 255, 43, 44, 51, 60);
  return packet;
}

/** A wrong length where one may be: of IPv4 and IPv6, with a tag and without, or anywhere. */
function lie(random: Random, packet: Uint8Array): Uint8Array {
  if (random.percent(20)) {
    const at = random.pick(14, 18, 46, 66);
    if (at < packet.length) packet[at] = ((packet[at] ?? 0) & 0xf0) | random.below(16);
    return packet;
  }
  const at = random.pick(16, 18, 20, 22, 38, 58, place(random, packet, 2));
  const value = random.pick(0, 1, 7, 8, 19, 20, 40, 65535, packet.length - random.below(60));
  if (at + 2 <= packet.length) packet.set(u16(value), at);
  return packet;
}

function truncate(random: Random, packet: Uint8Array): Uint8Array {
  return packet.slice(0, 14 + random.below(packet.length - 13));
}

function lengthen(random: Random, packet: Uint8Array): Uint8Array {
  return concat(packet, random.bytes(random.below(40)));
}
