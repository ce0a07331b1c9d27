/**
 * Traffic between two sides, by a seed: connections, datagrams, pings, errors, fragments, and all
 * that has no place in them. No two conversations have the same ports or identifiers.
 *
 * Left out is what the firewall and nftables decide differently on purpose:
 * - connections that begin again with the ports of closed ones, and sequence numbers outside of the
 *   window: the firewall does not look at them (the router is told to be liberal);
 * - a RST behind an ACK that answers a SYN: nftables keeps the connection, the firewall ends it;
 * - wrong checksums: the firewall does not verify them;
 * - fragments out of order, overlapping, or missing: nftables puts packets together first;
 * - ICMP redirect and source quench, which the firewall never lets through;
 * - flows older than their time; sources on the wrong side.
 */
import { concat, u16 } from 'wirelet/test';
import { EXTENSION, extension, icmp, icmpv6, type Layer, raw, tcp, udp } from 'wirelet/test/layers';
import { fragments, type Host, type Sent, type Step, step, type Version } from './conversation.js';
import type { Random } from './random.js';

type Conversation = Generator<Step>;

const ACTIVE_MAX = 12;
const [FIN, SYN, RST, PSH, ACK] = [1, 2, 4, 8, 16];
const LAST = 7;

/** So many conversations, interleaved, and one last packet from each side. */
export function traffic(random: Random, conversations: number): Sent[] {
  const sent: Sent[] = [];
  const active: Conversation[] = [];
  for (let begun = 0; begun < conversations || active.length > 0; ) {
    if (begun < conversations && active.length < ACTIVE_MAX) {
      active.push(conversation(random, begun++));
      continue;
    }
    const index = random.below(active.length);
    const next = active[index]?.next();
    if (next && !next.done) sent.push(next.value(sent.length + 1));
    else active.splice(index, 1);
  }
  for (const side of [0, 1] as const) {
    const last = udp({ sourcePort: LAST, destinationPort: LAST });
    const ends = [host(side, 4, 1), host(side === 0 ? 1 : 0, 4, 1)] as const;
    sent.push(step(...ends, last)(sent.length + 1));
  }
  return sent;
}

function host(side: 0 | 1, version: Version, number: number): Host {
  const address =
    version === 4 ? `10.${side + 1}.0.${number}` : `fd0${side + 1}::${number.toString(16)}`;
  return { side, version, address };
}

/** Two hosts, the one that begins first; `number` makes its port or identifier. */
interface Pair {
  a: Host;
  b: Host;
  number: number;
}

const KINDS = [
  connection,
  connection,
  connection,
  connection,
  datagrams,
  datagrams,
  pings,
  errors,
  cut,
  others,
  strays,
  malformed,
] as const;

function conversation(random: Random, number: number): Conversation {
  const version = random.pick([4, 4, 6] as const);
  const side = random.pick([0, 1] as const);
  const a = host(side, version, 1 + random.below(4));
  const b = host(side === 0 ? 1 : 0, version, random.pick([1, 2, 3, 4, 65, 66]));
  return random.pick(KINDS)(random, { a, b, number });
}

/** Segments of one connection, with the sequence numbers that its ends would have. */
class Connection {
  readonly #pair: Pair;
  readonly #serverPort: number;
  #next = { a: 1000, b: 5000 };

  constructor(random: Random, pair: Pair) {
    this.#pair = pair;
    this.#serverPort = random.pick([80, 443, 22, 8080, 40000]);
  }

  /** From `a` or from `b`. */
  send(from: 'a' | 'b', flags: number, bytes = 0): Step {
    const { a, b, number } = this.#pair;
    const isA = from === 'a';
    const [client, server] = [10_000 + number, this.#serverPort];
    const sequence = this.#next[from];
    const acknowledgment = flags & ACK ? this.#next[isA ? 'b' : 'a'] : 0;
    this.#next[from] += bytes + (flags & (SYN | FIN) ? 1 : 0);
    const segment = tcp({
      sourcePort: isA ? client : server,
      destinationPort: isA ? server : client,
      flags,
      sequence,
      acknowledgment,
      payload: new Uint8Array(bytes),
    });
    return isA ? step(a, b, segment) : step(b, a, segment);
  }

  /** As `send`, of something that was sent before. */
  again(from: 'a' | 'b', flags: number): Step {
    this.#next[from] -= flags & (SYN | FIN) ? 1 : 0;
    return this.send(from, flags);
  }

  *open(): Conversation {
    yield this.send('a', SYN);
    yield this.send('b', SYN | ACK);
    yield this.send('a', ACK);
  }
}

/** What may happen to a connection. */
type Plot = (random: Random, tcp: Connection) => Conversation;

const PLOTS: readonly [Plot, ...Plot[]] = [
  function* whole(random, tcp) {
    yield* tcp.open();
    for (let i = random.below(4); i >= 0; i--) {
      yield tcp.send('a', PSH | ACK, 1 + random.below(100));
      yield tcp.send('b', random.chance(50) ? ACK : PSH | ACK, random.below(100));
    }
    const [first, second] = random.chance(50) ? (['a', 'b'] as const) : (['b', 'a'] as const);
    yield tcp.send(first, FIN | ACK);
    yield tcp.send(second, ACK);
    yield tcp.send(second, FIN | ACK);
    yield tcp.send(first, ACK);
  },
  function* refused(_random, tcp) {
    yield tcp.send('a', SYN);
    yield tcp.send('b', RST | ACK);
    yield tcp.send('a', ACK);
    yield tcp.send('b', ACK);
  },
  function* givenUp(_random, tcp) {
    yield tcp.send('a', SYN);
    yield tcp.send('a', RST);
    yield tcp.send('b', SYN | ACK);
  },
  function* reset(random, tcp) {
    yield* tcp.open();
    yield tcp.send('a', PSH | ACK, 10);
    yield tcp.send('b', ACK);
    yield tcp.send(random.pick(['a', 'b'] as const), RST | ACK);
    yield tcp.send('a', ACK);
    yield tcp.send('b', ACK);
  },
  function* halfOpen(_random, tcp) {
    yield tcp.send('a', SYN);
    yield tcp.send('b', ACK);
  },
  function* impatient(_random, tcp) {
    yield tcp.send('a', SYN);
    yield tcp.send('a', ACK);
    yield tcp.send('a', FIN | ACK);
    yield tcp.again('a', FIN);
    yield tcp.send('b', FIN | ACK);
  },
  function* repeated(_random, tcp) {
    yield tcp.send('a', SYN);
    yield tcp.again('a', SYN);
    yield tcp.send('b', SYN | ACK);
    yield tcp.again('b', SYN | ACK);
    yield tcp.send('a', ACK);
    yield tcp.again('b', SYN | ACK);
    yield tcp.send('a', ACK);
    yield tcp.send('b', PSH | ACK, 20);
  },
  function* confused(random, tcp) {
    yield* tcp.open();
    yield tcp.again('b', SYN);
    yield tcp.again('a', random.chance(50) ? SYN : SYN | ACK);
    yield tcp.send('b', ACK);
    yield tcp.send('a', 0);
    yield tcp.send('a', FIN);
    yield tcp.send('b', SYN | RST);
    yield tcp.send('a', ACK);
  },
  function* simultaneous(_random, tcp) {
    yield tcp.send('a', SYN);
    yield tcp.send('b', SYN);
    yield tcp.again('a', SYN | ACK);
    yield tcp.again('b', SYN | ACK);
    yield tcp.send('a', ACK);
    yield tcp.send('b', PSH | ACK, 5);
  },
];

function connection(random: Random, pair: Pair): Conversation {
  return random.pick(PLOTS)(random, new Connection(random, pair));
}

/** Segments that no SYN comes before. */
function* strays(random: Random, pair: Pair): Conversation {
  const tcp = new Connection(random, pair);
  for (const flags of [ACK, FIN | ACK, RST, SYN | ACK, PSH | ACK, 0, SYN | FIN]) {
    if (random.chance(60)) yield tcp.send(random.pick(['a', 'b'] as const), flags);
  }
}

function* datagrams(random: Random, { a, b, number }: Pair): Conversation {
  const port = random.pick([53, 123, 443, 4000, 50_000]);
  const [client, server] = [10_000 + number, port];
  const question = udp({ sourcePort: client, destinationPort: server });
  const answer = udp({ sourcePort: server, destinationPort: client });
  const options = a.version === 6 && random.chance(30);
  const wrapped = (layer: Layer) => (options ? extension(EXTENSION.destination, layer) : layer);
  for (let i = random.below(5); i >= 0; i--) {
    if (random.chance(60)) yield step(a, b, wrapped(question));
    if (random.chance(60)) yield step(b, a, wrapped(answer));
    if (random.chance(10))
      yield step(b, a, udp({ sourcePort: server, destinationPort: number + 1 }));
  }
}

/** An echo, and its answer; IPv4 has three more queries that are answered. */
function* pings(random: Random, { a, b, number }: Pair): Conversation {
  const types =
    a.version === 6
      ? ([[128, 129]] as const)
      : ([
          [8, 0],
          [13, 14],
          [17, 18],
        ] as const);
  const [request, reply] = random.pick(types as readonly [readonly [number, number]]);
  const message = (type: number, identifier: number): Layer => {
    const fields = { type, identifier, payload: new Uint8Array(16) };
    return a.version === 6 ? icmpv6(fields) : icmp(fields);
  };
  for (let i = random.below(4); i >= 0; i--) {
    if (random.chance(70)) yield step(a, b, message(request, number));
    if (random.chance(70)) yield step(b, a, message(reply, number));
    if (random.chance(20)) yield step(b, a, message(reply, number + 10_000));
    if (random.chance(10)) yield step(a, b, message(reply, number));
  }
}

/** Errors about a datagram, from somebody on the other side, and about one that never was. */
function* errors(random: Random, { a, b, number }: Pair): Conversation {
  const port = 20_000 + number;
  let about: Uint8Array = new Uint8Array(0);
  const sent = (from: Host, to: Host, sourcePort: number, destinationPort: number): Step => {
    const make = step(from, to, udp({ sourcePort, destinationPort, payload: new Uint8Array(9) }));
    return (id) => {
      const made = make(id);
      about = made.packet.slice(14, 14 + (from.version === 4 ? 28 : 57));
      return made;
    };
  };
  const error = (from: Host, to: Host): Step =>
    step(from, to, () => {
      const fields = { code: 0, identifier: 0, sequence: 0, payload: about };
      return from.version === 6
        ? icmpv6({ ...fields, type: random.pick([1, 2, 3, 4]) })
        : icmp({ ...fields, type: random.pick([3, 11, 12]) });
    });
  const elsewhere: Host = { ...b, address: host(b.side, b.version, 99).address };
  const another: Host = { ...a, address: host(a.side, a.version, 98).address };
  yield sent(a, b, port, 53);
  yield error(b, a);
  yield error(elsewhere, a);
  if (random.chance(50)) yield error(b, another);
  if (random.chance(50)) {
    yield sent(b, a, 53, port);
    yield error(a, b);
  }
  // Ports that nothing was ever sent from.
  const about2 = step(a, b, udp({ sourcePort: port + 20_000, destinationPort: 53 }))(1);
  about = about2.packet.slice(14, 14 + (a.version === 4 ? 28 : 48));
  yield error(b, a);
}

/** Datagrams in fragments, some of them answered. */
function* cut(random: Random, { a, b, number }: Pair): Conversation {
  const ports = { sourcePort: 10_000 + number, destinationPort: random.pick([53, 4000, 50_000]) };
  const bytes = 8 + 8 * random.below(20);
  const payload = new Uint8Array(bytes * (1 + random.below(3)) + 1 + random.below(bytes));
  yield* fragments(a, b, udp({ ...ports, payload }), bytes);
  if (random.chance(50)) {
    const back = { sourcePort: ports.destinationPort, destinationPort: ports.sourcePort };
    yield* fragments(b, a, udp({ ...back, payload }), bytes);
  }
}

/** A protocol that nobody knows; the two hosts have one flow in all. */
function* others(random: Random, { a, b }: Pair): Conversation {
  if (random.chance(70)) yield step(a, b, raw(new Uint8Array(20), 253));
  if (random.chance(70)) yield step(b, a, raw(new Uint8Array(20), 253));
}

/** Headers that contradict the packet's length. */
function* malformed(random: Random, { a, b, number }: Pair): Conversation {
  const ports = { sourcePort: 10_000 + number, destinationPort: 53 };
  yield step(a, b, udp({ ...ports, length: 7 }));
  yield step(a, b, udp({ ...ports, length: 100 }));
  yield step(a, b, tcp({ ...ports, headerLength: 16 }));
  yield step(a, b, raw(concat(u16(ports.sourcePort), u16(53), u16(8)), random.pick([6, 17])));
  yield step(a, b, raw(new Uint8Array(4), a.version === 4 ? 1 : 58));
}
