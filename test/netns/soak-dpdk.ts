/**
 * `npm run soak:dpdk`: drivers of DPDK's at full rate for WIRELET_SOAK_MINUTES (10) in one
 * appliance: net_null to net_null as fast as two lcores can, a generator through a net_ring to a
 * sink that checks, and real kernels at both ends of net_tap and net_af_packet. A program is
 * swapped every second. Every packet has one outcome, every frame comes back, nothing grows.
 * Needs root, libdpdk, ethtool. Results: bench/results/soak-dpdk.json; the exit status is 1 where
 * something does not hold.
 */
import { join } from 'node:path';
import { ControlClient } from '../../host/src/control/client.js';
import { RunningAppliance } from './appliance.js';
import { Namespace, obstacle } from './namespace.js';
import {
  conclude,
  type Finding,
  MINUTES,
  ROOT,
  SECONDS,
  type Soak,
  watch,
} from './soak-measure.js';
import { Peer } from './soak-peers.js';

const PROGRAMS = ['macswap', 'count'].map((name) => join(ROOT, 'programs', name));
const SMALL = 'rxd=256&txd=256';
/** Of the machine's seconds, some are others'. */
const SWAPS_MIN = SECONDS / 4;

const work = (device: string) => ({ device, pipeline: ['work'] });
const plain = (device: string) => ({ device, pipeline: ['plain'] });
const CONFIG = {
  lcores: 2,
  ports: {
    a: work(`dpdk:net_null0,size=64?${SMALL}`),
    b: work(`dpdk:net_null1,size=64?${SMALL}`),
    in: plain('gen:?rate=50k&flows=64&ring=65536'),
    ring: plain(`dpdk:net_ring0?${SMALL}`),
    out: plain('sink:'),
    host: plain(`dpdk:net_tap0,iface=host?${SMALL}`),
    wire: plain(`dpdk:net_af_packet0,iface=wire?${SMALL}`),
  },
  forward: { a: 'b', b: 'a', in: 'ring', ring: 'out', host: 'wire', wire: 'host' },
  programs: { work: PROGRAMS[0], plain: PROGRAMS[1] },
};

let swaps = 0;

async function soak(): Promise<Soak> {
  const made = [1, 2].map(() => Namespace.create(SECONDS + 300));
  const [here, there] = (await Promise.all(made)) as [Namespace, Namespace];
  here.veth('wire', there, 'far');
  there.ip('addr add 10.3.0.1/24 dev far');
  // No driver of DPDK's completes a checksum that a local sender leaves to hardware.
  there.run('ethtool', '-K', 'far', 'tx', 'off');
  // The kernel of the tap must not answer what comes in by the wire, too.
  here.run('sysctl', '-qw', 'net.ipv4.conf.all.arp_ignore=1');
  const appliance = await RunningAppliance.start(here, CONFIG);
  const peers: Peer[] = [];
  try {
    here.ip('link set host up');
    here.ip('addr add 10.3.0.2/24 dev host');
    peers.push(
      new Peer(here, '10.3.0.2', '10.3.0.1', 'server', SECONDS),
      new Peer(there, '10.3.0.1', '10.3.0.2', 'client', SECONDS),
    );
    const samples = await watch(appliance.pid, () => swap(appliance.socket));
    const counts = await Promise.all(peers.map((peer) => peer.counts));
    return { samples, report: await appliance.stop(), peers: counts };
  } finally {
    for (const peer of peers) peer.kill();
    appliance.kill();
    for (const namespace of [here, there]) namespace.close();
  }
}

async function swap(socket: string): Promise<void> {
  const client = await ControlClient.connect(socket);
  const source = PROGRAMS[++swaps % PROGRAMS.length] ?? '';
  await client.ask('swap', { program: 'work', source, resetState: false });
  client.close();
}

function findings({ report: { stats } }: Soak): Finding[] {
  const { a, b, ring, out, host, wire } = stats.ports;
  const [lost, corrupt, reordered] = ['lost', 'corrupt', 'reordered'].map(
    (name) => out?.xstats[name] ?? Number.NaN,
  );
  const sent = (a?.tx ?? 0) + (b?.tx ?? 0);
  const missing = (ring?.dropped ?? 0) + (stats.ports.in?.dropped ?? 0);
  const flow = [host, wire].every((port) => (port?.rx ?? 0) > 100 * MINUTES);
  return [
    [`net_null to net_null (${sent} packets)`, sent > 1e6 * MINUTES],
    [`the ring keeps bytes and order (${corrupt}, ${reordered})`, corrupt === 0 && reordered === 0],
    [`what it lost was counted (${lost} of ${missing} drops)`, (lost ?? 1) <= missing],
    ['tap and wire exchange packets', flow],
    [`a swap every second (${swaps})`, swaps >= SWAPS_MIN],
  ];
}

const reason = obstacle('sysctl', 'ethtool');
if (reason !== undefined) throw new Error(`soak: ${reason}`);
await conclude('soak-dpdk', CONFIG, soak, findings);
