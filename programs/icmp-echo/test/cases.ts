import { hex } from 'wirelet/test';
import {
  type EthernetFields,
  ethernet,
  type Ipv4Fields,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  raw,
  udp,
  vlan,
} from 'wirelet/test/layers';
import { answer, type Case, drop, pass } from '../../testing/cases.js';

const US = '02:00:00:00:00:99';
const THEM = '06:66:77:88:99:aa';
const settings = { addresses: ['10.0.0.1', '10.0.0.7'] };

const there = { source: THEM, destination: US };
const back = { source: US, destination: THEM };
const toUs = { source: '10.0.0.2', destination: '10.0.0.7', identification: 9, timeToLive: 3 };
const toThem = { source: '10.0.0.7', destination: '10.0.0.2', identification: 9, timeToLive: 64 };
const data = Uint8Array.from({ length: 57 }, (_, i) => i * 7);
const echo = icmp({ identifier: 77, sequence: 5, payload: data });
const echoed = icmp({ type: 0, identifier: 77, sequence: 5, payload: data });

function request(fields: Ipv4Fields = {}, link: EthernetFields = {}): Uint8Array {
  return ethernet({ ...there, ...link, payload: ipv4({ ...toUs, payload: echo, ...fields }) });
}

function large(type: number): Uint8Array {
  const payload = icmp({ type, payload: new Uint8Array(1472).fill(0xa5) });
  const fields = type === 8 ? { ...toUs, payload } : { ...toThem, payload };
  return ethernet({ ...(type === 8 ? there : back), payload: ipv4(fields) });
}

export const cases: Case[] = [
  {
    name: 'echoes-to-our-addresses-are-answered',
    settings,
    steps: [
      answer(request(), ethernet({ ...back, payload: ipv4({ ...toThem, payload: echoed }) })),
      answer(
        ethernet({ ...there, payload: vlan({ payload: ipv4({ ...toUs, payload: echo }) }) }),
        ethernet({ ...back, payload: vlan({ payload: ipv4({ ...toThem, payload: echoed }) }) }),
      ),
      answer(large(8), large(0)),
      // No data, and padding behind it that no checksum covers.
      answer(
        request({ payload: icmp() }),
        ethernet({ ...back, payload: ipv4({ ...toThem, payload: icmp({ type: 0 }) }) }),
      ),
      answer(
        request({ dontFragment: true }),
        ethernet({ ...back, payload: ipv4({ ...toThem, dontFragment: true, payload: echoed }) }),
      ),
    ],
    counters: { replies: 5, malformed: 0 },
  },
  {
    name: 'everything-else-passes',
    settings,
    steps: [
      pass(request({ destination: '10.0.0.8' })),
      pass(request({ payload: icmp({ type: 0 }) })),
      pass(request({ payload: icmp({ type: 3, code: 1 }) })),
      pass(request({ payload: udp() })),
      pass(request({ moreFragments: true })),
      pass(request({ fragmentOffset: 8 })),
      pass(request({ options: hex('94040000') })),
      pass(request({ version: 5 })),
      pass(ethernet({ ...there, payload: ipv6({ payload: icmpv6() }) })),
      pass(ethernet({ type: 0x0806 })),
    ],
    counters: { replies: 0, malformed: 0 },
  },
  {
    name: 'what-is-damaged-or-dishonest-is-dropped',
    settings,
    steps: [
      drop(request({ payload: icmp({ checksum: 1 }) })),
      drop(request({ payload: icmp({ code: 1 }) })),
      // Two bytes and no header, in spite of the padding behind them.
      drop(request({ payload: raw(hex('0800'), 1) })),
      drop(request({ checksum: 1 })),
      drop(request({ source: '0.0.0.0' })),
      drop(request({ source: '224.0.0.1' })),
      drop(request({ source: '255.255.255.255' })),
      drop(request({}, { destination: 'ff:ff:ff:ff:ff:ff' })),
      drop(request({}, { destination: '01:00:5e:00:00:01' })),
    ],
    counters: { replies: 0, malformed: 9 },
  },
  {
    name: 'without-addresses-it-answers-nothing',
    steps: [pass(request())],
    counters: { replies: 0, malformed: 0 },
  },
];
