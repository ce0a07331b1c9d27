import { concat, type DnsFields, dnsMessage, dnsName, dnsQuery, hex } from 'wirelet/test';
import {
  EXTENSION,
  ethernet,
  extension,
  fragment,
  icmp,
  ipv4,
  ipv6,
  type Layer,
  raw,
  tcp,
  udp,
  vlan,
} from 'wirelet/test/layers';
import { type Case, drop, pass } from '../../testing/cases.js';

const blocked = ['ads.example', 'Tracker.Example.', 'x'];
const LABEL = 'a'.repeat(63);

function over4(payload: Layer): Uint8Array {
  return ethernet({ payload: ipv4({ payload }) });
}

function to53(payload: Uint8Array): Layer {
  return udp({ destinationPort: 53, payload });
}

function asking(name: string, fields: DnsFields = {}): Uint8Array {
  return over4(to53(dnsQuery(name, fields)));
}

function question(name: string): Uint8Array {
  return concat(dnsName(name), hex('0001 0001'));
}

function message(body: Uint8Array, fields: DnsFields = {}): Uint8Array {
  return over4(to53(dnsMessage(body, fields)));
}

export const cases: Case[] = [
  {
    name: 'listed-names-and-below',
    settings: { blocked },
    steps: [
      ...['ads.example', 'a.ads.example', 'b.a.ADS.eXample', 'tracker.example', 'x', 'y.x'].map(
        (name) => drop(asking(name)),
      ),
      // Record types do not matter: AAAA, HTTPS.
      drop(asking('ads.example', { type: 28 })),
      drop(asking('ads.example', { type: 65 })),
      ...['example', 'bads.example', 'ads.example.org', 'ads', 'xx', 'x.y', ''].map((name) =>
        pass(asking(name)),
      ),
    ],
    counters: { queries: 15, blocked: 8, malformed: 0 },
  },
  {
    name: 'nothing-listed',
    steps: [pass(asking('ads.example')), pass(asking(''))],
    counters: { queries: 2, blocked: 0, malformed: 0 },
  },
  {
    name: 'every-way-to-port-53',
    settings: { blocked },
    steps: [
      drop(ethernet({ payload: vlan({ payload: ipv4({ payload: to53(dnsQuery('x')) }) }) })),
      drop(
        ethernet({
          payload: vlan({
            tag: 0x88a8,
            payload: vlan({ payload: ipv6({ payload: to53(dnsQuery('x')) }) }),
          }),
        }),
      ),
      drop(ethernet({ payload: ipv4({ options: hex('94040000'), payload: to53(dnsQuery('x')) }) })),
      drop(ethernet({ payload: ipv6({ payload: to53(dnsQuery('x')) }) })),
      drop(
        ethernet({
          payload: ipv6({ payload: extension(EXTENSION.hopByHop, to53(dnsQuery('x')), 2) }),
        }),
      ),
      drop(ethernet({ payload: ipv4({ payload: to53(dnsQuery('x')), moreFragments: true }) })),
      drop(ethernet({ payload: ipv6({ payload: fragment(to53(dnsQuery('x')), 0, true) }) })),
    ],
    counters: { queries: 7, blocked: 7, malformed: 0 },
  },
  {
    name: 'what-is-no-query-passes',
    settings: { blocked, dropMalformed: true },
    steps: [
      over4(udp({ destinationPort: 54, payload: dnsQuery('x') })),
      over4(udp({ sourcePort: 53, payload: dnsQuery('x', { flags: 0x8180 }) })),
      over4(tcp({ destinationPort: 53 })),
      over4(icmp({ payload: dnsQuery('x') })),
      asking('x', { flags: 0x8180 }),
      asking('x', { flags: 0x2000 }),
      ethernet({ payload: ipv4({ payload: to53(dnsQuery('x')), fragmentOffset: 8 }) }),
      ethernet({ payload: ipv6({ payload: fragment(to53(dnsQuery('x')), 8, false) }) }),
      ethernet({ payload: raw(dnsQuery('x'), 0x88cc) }),
    ].map(pass),
    counters: { queries: 0, blocked: 0, malformed: 0 },
  },
  ...[false, true].map((dropMalformed) => ({
    name: dropMalformed ? 'malformed-dropped' : 'malformed-passed',
    settings: { blocked, dropMalformed },
    steps: malformed().map(dropMalformed ? drop : pass),
    counters: { queries: 15, blocked: 0, malformed: 17 },
  })),
  {
    name: 'long-names-and-more-questions',
    settings: { blocked: [...blocked, `${LABEL}.org`, 'z'.repeat(63)] },
    steps: [
      pass(asking([LABEL, LABEL, LABEL, 'a'.repeat(61)].join('.'))),
      drop(asking(`${LABEL}.${LABEL}.org`)),
      drop(asking('z'.repeat(63))),
      drop(asking(`${'q.'.repeat(126)}x`)),
      pass(asking(`${'q.'.repeat(126)}q`)),
      drop(message(concat(question('a'), question('x')), { questions: 2 })),
      drop(message(concat(question('x'), question('a')), { questions: 2 })),
      pass(message(concat(question('a'), question('b')), { questions: 2 })),
      // Bytes behind the question, as EDNS puts them there, do not matter.
      drop(over4(to53(concat(dnsQuery('x'), hex('00 0029 04d0 00000000 0000'))))),
    ],
    counters: { queries: 9, blocked: 6, malformed: 0 },
  },
];

/** Messages to port 53 that end in the middle or are wrong; the first two have no whole header. */
function malformed(): Uint8Array[] {
  const whole = dnsQuery('x');
  return [
    over4(to53(whole.slice(0, 11))),
    over4(udp({ destinationPort: 53, length: 7, payload: whole })),
    over4(to53(whole.slice(0, 12))),
    over4(to53(whole.slice(0, 13))),
    over4(to53(dnsQuery('y').slice(0, 14))),
    over4(to53(dnsQuery('y').slice(0, 18))),
    // The length of UDP ends the message, not the packet.
    over4(udp({ destinationPort: 53, length: 8 + 13, payload: whole })),
    message(question('x'), { questions: 0 }),
    message(question('x'), { questions: 5 }),
    message(question('x'), { questions: 0xffff }),
    message(question('y'), { questions: 2 }),
    // Pointers: to itself, to the header, behind a label; and the two reserved kinds of label.
    message(hex('c00c 0001 0001')),
    message(hex('c000 0001 0001')),
    message(hex('0178 c00c 0001 0001')),
    message(hex('4178 00 0001 0001')),
    message(hex('8178 00 0001 0001')),
    message(question([LABEL, LABEL, LABEL, 'a'.repeat(62)].join('.'))),
  ];
}
