import { arp, ethernet, icmp, ipv4, vlan } from 'wirelet/test/layers';
import { answer, type Case, pass } from '../../testing/cases.js';

const US = '02:00:00:00:00:99';
const THEM = '06:66:77:88:99:aa';
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const settings = { mac: US, addresses: ['10.0.0.1', '10.0.0.7'] };

const asking = { senderMac: THEM, senderIp: '10.0.0.2', targetIp: '10.0.0.7' };
const from = { source: THEM, destination: BROADCAST };
const request = ethernet({ ...from, payload: arp(asking) });
const reply = {
  operation: 2,
  senderMac: US,
  senderIp: '10.0.0.7',
  targetMac: THEM,
  targetIp: '10.0.0.2',
};
const back = { source: US, destination: THEM };

export const cases: Case[] = [
  {
    name: 'requests-for-our-addresses-are-answered',
    settings,
    steps: [
      answer(request, ethernet({ ...back, payload: arp(reply) })),
      answer(
        ethernet({ ...from, destination: US, payload: arp(asking) }),
        ethernet({ ...back, payload: arp(reply) }),
      ),
      answer(
        ethernet({ ...from, payload: vlan({ id: 5, payload: arp(asking) }) }),
        ethernet({ ...back, payload: vlan({ id: 5, payload: arp(reply) }) }),
      ),
      // A probe: its sender has no address yet (RFC 5227).
      answer(
        ethernet({ ...from, payload: arp({ ...asking, senderIp: '0.0.0.0' }) }),
        ethernet({ ...back, payload: arp({ ...reply, targetIp: '0.0.0.0' }) }),
      ),
    ],
    counters: { replies: 4, conflicts: 0 },
  },
  {
    name: 'everything-else-passes',
    settings,
    steps: [
      pass(ethernet({ ...from, payload: arp({ ...asking, targetIp: '10.0.0.8' }) })),
      pass(ethernet({ ...from, payload: arp({ ...asking, operation: 2 }) })),
      pass(ethernet({ ...from, destination: THEM, payload: arp(asking) })),
      pass(ethernet({ ...from, payload: arp({ ...asking, senderMac: '03:00:00:00:00:01' }) })),
      pass(ethernet({ ...from, payload: arp({ ...asking, hardware: 6 }) })),
      pass(request.slice(0, 41)),
      pass(ethernet({ ...from, payload: ipv4({ payload: icmp() }) })),
      pass(ethernet({ type: 0x88cc })),
    ],
    counters: { replies: 0, conflicts: 0 },
  },
  {
    name: 'somebody-else-with-our-address-is-counted',
    settings,
    steps: [
      pass(ethernet({ ...from, payload: arp({ ...asking, senderIp: '10.0.0.7' }) })),
      pass(ethernet({ ...from, payload: arp({ ...asking, operation: 2, senderIp: '10.0.0.1' }) })),
      pass(ethernet({ ...from, payload: arp({ ...asking, operation: 2, senderMac: US }) })),
    ],
    counters: { replies: 0, conflicts: 2 },
  },
  {
    name: 'without-addresses-it-answers-nothing',
    steps: [pass(request)],
    counters: { replies: 0, conflicts: 0 },
  },
];
