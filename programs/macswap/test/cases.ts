import { arp, type EthernetFields, ethernet, ipv4, tcp, udp, vlan } from 'wirelet/test/layers';
import { type Case, type Step } from '../../testing/cases.js';

const A = '02:11:22:33:44:55';
const B = '06:66:77:88:99:aa';

function swapped(fields: EthernetFields): Step {
  return {
    in: ethernet({ ...fields, source: A, destination: B }),
    out: ethernet({ ...fields, source: B, destination: A }),
  };
}

export const cases: Case[] = [
  {
    name: 'swaps-addresses-and-nothing-else',
    steps: [
      swapped({ payload: arp() }),
      swapped({ payload: ipv4({ payload: udp() }) }),
      swapped({ payload: vlan({ id: 7, payload: ipv4({ payload: tcp() }) }) }),
      swapped({ type: 0x88cc, pad: 14 }),
      swapped({ type: 0x88b5, pad: 1514 }),
    ],
    counters: {},
  },
];
