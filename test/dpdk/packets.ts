/** Packets for rules: few addresses and ports, so that rules meet them; the same for every call. */

/** `plain`: no IPv6 extension headers, and one VLAN tag at most. */
export type Shapes = 'all' | 'plain';

export function packetsOf(count: number, shapes: Shapes): Uint8Array[] {
  const random = new Random(0x2545_f491);
  return Array.from({ length: count }, () => packet(random, shapes));
}

/** A linear congruential generator (Numerical Recipes). */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  of<T>(some: readonly [T, ...T[]]): T {
    return some[this.below(some.length)] ?? some[0];
  }
}

function packet(random: Random, shapes: Shapes): Uint8Array {
  const tags = shapes === 'plain' ? random.of([0, 0, 1]) : random.of([0, 0, 0, 1, 1, 2, 3]);
  const bytes = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
  for (let tag = 0; tag < tags; tag++) {
    bytes.push(...random.of([[0x81, 0] as const, [0x88, 0xa8] as const]));
    bytes.push(random.of([0, 0x20, 0xf0]), 1 + random.below(3));
  }
  const network = random.of([arp, ipv4, ipv4, ipv4, ipv6, ipv6]);
  bytes.push(...network(random, shapes));
  while (bytes.length < 60) bytes.push(0);
  return Uint8Array.from(bytes);
}

function arp(): number[] {
  return [8, 6, 0, 1, 8, 0, 6, 4, 0, 1];
}

function address(random: Random, bytes: 4 | 16): number[] {
  const first = bytes === 4 ? 10 : 0xfd;
  const middle = Array.from({ length: bytes - 3 }, () => 0);
  return [first, random.below(2), ...middle, random.below(3)];
}

function ipv4(random: Random): number[] {
  const options = random.of([0, 0, 1, 10]);
  const [flags, offset] = random.of<readonly [number, number]>([
    [0, 0],
    [0x40, 0],
    [0x20, 0],
    [0x20, 7],
    [0, 9],
  ]);
  const protocol = random.of([1, 6, 17, 17, 132]);
  const payload = transport(random);
  const length = 20 + 4 * options + payload.length;
  const header = [8, 0, 0x45 + options, 0, 0, length, 0, 1, flags, offset, 64, protocol, 0, 0];
  const addresses = [...address(random, 4), ...address(random, 4)];
  return [...header, ...addresses, ...Array.from({ length: 4 * options }, () => 1), ...payload];
}

function ipv6(random: Random, shapes: Shapes): number[] {
  const protocol = random.of([6, 17, 58]);
  const extended = shapes === 'all' && random.below(3) === 0;
  const extension = extended ? [protocol, 0, 1, 4, 0, 0, 0, 0] : [];
  const payload = [...extension, ...transport(random)];
  const header = [0x86, 0xdd, 0x60, 0, 0, 0, 0, payload.length, extended ? 0 : protocol, 64];
  return [...header, ...address(random, 16), ...address(random, 16), ...payload];
}

function transport(random: Random): number[] {
  return [0, 50 + random.below(4), 0, 50 + random.below(4), 0, 20, ...new Array(14).fill(0)];
}
