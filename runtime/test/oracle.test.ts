/**
 * Header views against an independent decoder: what they see in a packet is what etherparse sees
 * (test/oracle), field by field, and where it refuses a header, so do they. Where the two promise
 * different things, a rule of {@link promise} says so.
 *
 * `WIRELET_FUZZ_SECONDS=600 npx vitest run runtime/test/oracle.test.ts` goes on with other seeds;
 * `WIRELET_FUZZ_SEED` starts with this one.
 */
import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { resolve } from 'node:path';
import { beforeAll, expect, it, vi } from 'vitest';
import { Guest } from './guest.js';
import { anyPacket, Random } from './packets.js';

const ROOT = resolve(import.meta.dirname, '../..');
const PACKETS = 6000;
const SEED = Number(process.env.WIRELET_FUZZ_SEED ?? 1);
const SECONDS = Number(process.env.WIRELET_FUZZ_SECONDS ?? 0);

// Cargo may have to wait for another build, and to compile etherparse.
vi.setConfig({ testTimeout: 300_000 + SECONDS * 1000, hookTimeout: 300_000 });

type Fields = Record<string, number | string>;
type Seen = Record<string, Fields | undefined>;

const TAGS = ['tag0', 'tag1', 'tag2', 'tag3', 'tag4', 'tag5', 'tag6', 'tag7'];
const UPPER = ['payload', 'udp', 'tcp', 'options', 'icmp', 'icmpv6', 'sum'];
const VIEWS = ['ethernet', ...TAGS, 'behind', 'arp', 'ipv4', 'ipv6', ...UPPER];

/** What announces a header, so that there is something to refuse. */
const ANNOUNCED: Record<string, (seen: Seen) => boolean> = {
  arp: (seen) => seen.behind?.type === 0x0806,
  ipv4: (seen) => seen.behind?.type === 0x0800,
  ipv6: (seen) => seen.behind?.type === 0x86dd,
  payload: (seen) => seen.behind?.type === 0x0800 || seen.behind?.type === 0x86dd,
  udp: (seen) => seen.payload?.protocol === 17,
  tcp: (seen) => seen.payload?.protocol === 6,
  icmp: (seen) => seen.payload?.protocol === 1,
  icmpv6: (seen) => seen.payload?.protocol === 58,
};

let guest: Guest;

beforeAll(async () => {
  guest = await Guest.load('runtime/test/oracle');
});

function askOracle(packets: readonly Uint8Array[]): Seen[] {
  const input = Buffer.concat(
    packets.flatMap((packet) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(packet.length);
      return [length, packet];
    }),
  );
  // In a folder of its own it waits for no other build.
  const folder = ['--target-dir', 'target/oracle'];
  const args = ['run', '--release', '--quiet', '-p', 'wirelet-oracle', ...folder];
  const options = { cwd: ROOT, input, encoding: 'utf8', maxBuffer: 2 ** 28 } as const;
  const lines = execFileSync('cargo', args, options).trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Seen);
}

function askViews(packets: readonly Uint8Array[]): Seen[] {
  guest.logs.length = 0;
  guest.run(packets);
  const seen: string[][] = [];
  for (const line of guest.logs) {
    if (line.startsWith('"ethernet"')) seen.push([]);
    seen.at(-1)?.push(line);
  }
  return seen.map((lines) => JSON.parse(`{${lines.join()}}`) as Seen);
}

/**
 * What views must see, by what the oracle saw, and which views are not to be compared because one
 * of the two promises nothing.
 */
function promise(theirs: Seen, ours: Seen): { want: Seen; skip: Set<string> } {
  const want = { ...theirs };
  const skip = new Set<string>();
  // Arp is a view of ARP for IPv4 over Ethernet; etherparse decodes any.
  const { hardware, protocol, hardwareBytes, protocolBytes } = theirs.facts ?? {};
  const isArp = `${hardware} ${protocol} ${hardwareBytes} ${protocolBytes}` === '1 2048 6 4';
  if (!isArp) want.arp = undefined;
  // IpPayload refuses a total length shorter than the header that is not 0; etherparse's lax
  // decoding takes all there is. Udp.find and Tcp.find promise nothing then: they do not look at
  // the lengths of a header without tags and options, and ask IpPayload for others.
  const total = Number(theirs.total?.bytes ?? 0);
  if (total !== 0 && total < Number(theirs.total?.header)) {
    want.payload = undefined;
    want.icmp = undefined;
    for (const name of ['udp', 'tcp', 'options', 'sum']) skip.add(name);
  }
  // etherparse goes no further at hop-by-hop options that are not the first header (RFC 8200, 4.1)
  // and at an authentication header without room for its own fields; IpPayload goes on. Behind 16
  // extension headers it is the other way round.
  const { refused, extensions } = theirs.facts ?? {};
  if (refused === 1 || Number(extensions ?? 0) > 16) for (const name of UPPER) skip.add(name);
  // Below 8 a UDP length says nothing: etherparse then takes all there is.
  if (want.udp && Number(want.udp.length) < 8) want.udp = { ...want.udp, end: ours.udp?.end ?? 0 };
  // etherparse says nothing of lists with an option that it does not know.
  if (theirs.options === undefined) skip.add('options');
  // etherparse wants all 20 bytes of a timestamp message (RFC 792), Icmp wants 8 of any.
  if (!theirs.icmp && (ours.icmp?.type === 13 || ours.icmp?.type === 14)) skip.add('icmp');
  promiseOfSum(theirs, want, skip);
  return { want, skip };
}

/** The same for the checksum of UDP, TCP and ICMP. */
function promiseOfSum(theirs: Seen, want: Seen, skip: Set<string>): void {
  const { version, protocol } = theirs.payload ?? {};
  // Only etherparse looks behind an authentication header of IPv4, and at ICMP over the wrong IP.
  const foreign = version === 4 ? protocol === 51 || protocol === 58 : protocol === 1;
  if (theirs.sum === undefined || want.payload === undefined || foreign) skip.add('sum');
  // "None" is good over IPv4 (RFC 768), and bad over IPv6 (RFC 8200, 8.1).
  if (theirs.udp?.checksum === 0) want.sum = { good: version === 4 ? 1 : 0 };
}

/** etherparse's own walk over the whole packet comes to the same header, where it finds one. */
function walksApart({ lax, payload }: Seen, ours: Seen, skip: Set<string>): boolean {
  if (lax === undefined || payload === undefined || skip.has('payload')) return false;
  if (payload.version === 4 && payload.protocol === 51) return false;
  return ours.payload?.at !== lax.at || ours.payload?.protocol !== lax.protocol;
}

const same = (a: Fields | undefined, b: Fields | undefined): boolean =>
  JSON.stringify(a) === JSON.stringify(b);

/** Compares everything about the packets of a seed; throws at the first difference. */
function compare(seed: number, counts: Map<string, number>): void {
  const random = new Random(seed);
  const packets = Array.from({ length: PACKETS }, () => anyPacket(random));
  const all = askViews(packets);
  const oracle = askOracle(packets);
  expect(all.length).toBe(PACKETS);
  expect(oracle.length).toBe(PACKETS);
  const count = (name: string): Map<string, number> =>
    counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const [i, ours] of all.entries()) {
    const theirs = oracle[i] ?? {};
    const { want, skip } = promise(theirs, ours);
    const apart = VIEWS.filter((name) => !skip.has(name) && !same(ours[name], want[name]));
    if (walksApart({ ...theirs, payload: want.payload }, ours, skip)) apart.push('lax');
    if (apart.length > 0) {
      const bytes = Buffer.from(packets[i] ?? []).toString('hex');
      const text = { views: ours, etherparse: theirs };
      throw new Error(
        `seed ${seed}, packet ${i}: ${apart.join(', ')}\n${bytes}\n${JSON.stringify(text, null, 1)}`,
      );
    }
    for (const name of VIEWS) {
      if (skip.has(name)) count(`${name} skipped`);
      else if (ours[name]) count(name);
      else if (ANNOUNCED[name]?.(ours)) count(`${name} refused`);
    }
    if (!skip.has('sum')) count(ours.sum?.good === 1 ? 'sum good' : 'sum bad');
    if (theirs.lax) count('lax');
  }
}

it('views see what etherparse sees', () => {
  const counts = new Map<string, number>();
  compare(SEED, counts);
  for (const end = Date.now() + SECONDS * 1000; Date.now() < end; )
    compare(randomInt(2 ** 31), counts);
  if (SECONDS > 0) process.stderr.write(`${JSON.stringify(Object.fromEntries(counts), null, 1)}\n`);
  const wanted = [...VIEWS, ...Object.keys(ANNOUNCED).map((name) => `${name} refused`)];
  const rare = [...wanted, 'sum good', 'sum bad', 'lax'].filter(
    (name) => !((counts.get(name) ?? 0) >= 10),
  );
  expect(rare).toEqual([]);
});
