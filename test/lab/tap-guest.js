// Inside the lab's machine: what its kernel sends into DPDK's tap, with one and no VLAN tag, and
// what of it an appliance there has received, by which lcore.
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, readFileSync } from 'node:fs';

/** Imported when it is needed: it takes a while here. */
const CAPTURES = '/wirelet/host/dist/capture-file.js';
const INTERFACE = 'wt0';
const CAPTURE = '/lab/out.pcap';
export const SETTLE_MS = 1500;
/** Behind the lcore and the hash that the program writes, with a tag or without. */
const PAYLOAD_BYTES = 24;
const NUMBER_OFFSET = 16;
const [TYPE_OFFSET, UDP_PAYLOAD] = [12, 42];
const LCORE_OFFSET = 46;
const TAG = 0x8100;

/** Two lcores and two queues; each packet that comes is written to a file, with its lcore. */
export const tapConfig = (offload, rules) => ({
  lcores: 2,
  ports: {
    a: { device: `dpdk:net_tap0,iface=${INTERFACE}?rxd=256&txd=256`, queues: 2, offload },
    b: `pcap:,${CAPTURE}`,
  },
  programs: { app: { source: './where.wasm', redirectTo: ['a', 'b'] } },
  rules: { a: rules },
});

const run = (...words) => execFileSync(words[0], words.slice(1), { encoding: 'utf8' });

/** Interfaces with an address and a neighbour who never answers: on the tap, and on two VLANs. */
export function addAddresses(vlans) {
  const nets = [[INTERFACE, 0], ...vlans.map((vlan) => [`${INTERFACE}.${vlan}`, vlan])];
  for (const [name, vlan] of nets) {
    if (vlan > 0) run('vconfig', 'add', INTERFACE, `${vlan}`);
    run('ip', 'addr', 'add', `10.9.${vlan}.1/24`, 'dev', name);
    run('ip', 'link', 'set', name, 'up');
    run('arp', '-i', name, '-s', `10.9.${vlan}.2`, '02:00:00:00:09:02');
  }
}

/** `times` packets from each port to each, on each VLAN; 0 is none. */
export async function sendAll({ sources, destinations, vlans, times }) {
  for (const vlan of vlans) {
    for (const source of sources) {
      const socket = createSocket('udp4');
      await new Promise((done) => socket.bind(source, `10.9.${vlan}.1`, done));
      for (let number = 0; number < times; number++) {
        for (const destination of destinations) {
          const payload = Buffer.alloc(PAYLOAD_BYTES);
          payload.writeUInt32BE(number, NUMBER_OFFSET);
          const to = `10.9.${vlan}.2`;
          await new Promise((done) => socket.send(payload, destination, to, done));
        }
      }
      socket.close();
    }
  }
}

/** `[vlan, source, destination, number, lcore]` of each UDP packet that was received. */
export async function received() {
  const { decodeCapture } = await import(CAPTURES);
  const packets = decodeCapture(readFileSync(CAPTURE)).map((bytes) => Buffer.from(bytes));
  return packets.flatMap((bytes) => {
    const tagged = bytes.readUInt16BE(TYPE_OFFSET) === TAG;
    const shift = tagged ? 4 : 0;
    // Nothing else that the kernel may send is so long.
    if (bytes.length !== UDP_PAYLOAD + PAYLOAD_BYTES + shift) return [];
    const [source, destination] = [34, 36].map((at) => bytes.readUInt16BE(at + shift));
    const vlan = tagged ? bytes.readUInt16BE(14) & 0xfff : 0;
    const number = bytes.readUInt32BE(UDP_PAYLOAD + NUMBER_OFFSET + shift);
    return [[vlan, source, destination, number, bytes.readUInt32BE(LCORE_OFFSET)]];
  });
}

/** What the kernel has of the rules. */
export function filters() {
  return existsSync(`/sys/class/net/${INTERFACE}`)
    ? run('tc', 'filter', 'show', 'dev', INTERFACE, 'parent', '1:').trim().split('\n')
    : null;
}
