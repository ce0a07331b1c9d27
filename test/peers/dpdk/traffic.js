// Packets and routes of the benchmarks beside DPDK, the same in every run.

/** A linear congruential generator (Numerical Recipes): upper bits, so `next(n)` is below n. */
export function generator(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** 64-byte UDP packets: one in 8 to port 53, one in 4 from 10.0.0.0/8, so 1 in 8 is dropped. */
export function filterPackets(count) {
  return Array.from({ length: count }, (_, index) => {
    const packet = udpPacket();
    packet[26] = index % 4 === 0 ? 10 : 192;
    const view = new DataView(packet.buffer);
    view.setUint16(34, 1024 + (index % 64));
    view.setUint16(36, index % 8 === 0 ? 53 : 1000 + (index % 1000));
    return packet;
  });
}

/** 64-byte UDP packets to addresses of routes, anywhere in them, with right header checksums. */
export function routedPackets(count, routes) {
  const next = generator(2);
  return Array.from({ length: count }, (_, index) => {
    const { address, length } = routes[next(routes.length)];
    const packet = udpPacket();
    const view = new DataView(packet.buffer);
    view.setUint32(26, 0x0a00_0001 + index);
    view.setUint32(30, (address + next(2 ** (32 - length))) >>> 0);
    view.setUint16(24, headerChecksum(view));
    return packet;
  });
}

function udpPacket() {
  const packet = new Uint8Array(64);
  packet.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 50]);
  packet.set([64, 17, 0, 0, 192, 0, 0, 1, 10, 0, 0, 2, 4, 0, 3, 232, 0, 30], 22);
  return packet;
}

function headerChecksum(view) {
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += at === 24 ? 0 : view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** Of 16 prefixes: lengths as in tables of the internet, most of them 24, one longer. */
const LENGTHS = [16, 18, 19, 20, 21, 22, 22, 23, 24, 24, 24, 24, 24, 24, 24, 0];
const LONGER = [25, 26, 27, 28];

/** `count` different prefixes from 1.0.0.0 to 223.255.255.255 but for 127, each with a hop. */
export function routeTable(count, hops) {
  const next = generator(1);
  const routes = new Map();
  while (routes.size < count) {
    const length = LENGTHS[next(LENGTHS.length)] || LONGER[next(LONGER.length)];
    const any = (((1 + next(223)) << 24) | next(2 ** 24)) >>> 0;
    if (any >>> 24 === 127) continue;
    const address = (any & (-1 << (32 - length))) >>> 0;
    routes.set(`${address}/${length}`, { address, length, hop: next(hops) });
  }
  return [...routes.values()];
}

/** How many of the packets go to each hop: the longest prefix of each, found by trying all. */
export function packetsByHop(packets, routes, hops) {
  const table = new Map(routes.map((route) => [`${route.address}/${route.length}`, route.hop]));
  const counts = new Array(hops).fill(0);
  for (const packet of packets) {
    const address = new DataView(packet.buffer).getUint32(30);
    let hop;
    for (let length = 32; length > 0 && hop === undefined; length--) {
      hop = table.get(`${(address & (-1 << (32 - length))) >>> 0}/${length}`);
    }
    counts[hop]++;
  }
  return counts;
}

export function prefixText({ address, length }) {
  const bytes = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255);
  return `${bytes.join('.')}/${length}`;
}
