/**
 * `npm run soak`: an appliance between real peers for WIRELET_SOAK_MINUTES (10), over af_packet,
 * af_xdp and tap ports, each behind a `fault` wrapper that is bad both ways. Every packet has one
 * outcome, every frame comes back, and neither memory nor mappings nor descriptors grow. Needs
 * root. Results: bench/results/soak.json; the exit status is 1 where something does not hold.
 */
import { join } from 'node:path';
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

/** Bad both ways: everything that the wrapper can do. */
function bad(seed: number, device: string): string {
  const chances = 'loss=1%,duplicate=0.5%,corrupt=0.1%,reorder=1%';
  return `fault(${chances},delay=200us,jitter=300us,seed=${seed}):${device}`;
}

const CONFIG = {
  lcores: 2,
  ports: {
    one: bad(1, 'af_packet:one'),
    two: bad(2, 'af_xdp:two'),
    three: bad(3, 'af_packet:three'),
    host: bad(4, 'tap:host'),
  },
  forward: { one: 'two', two: 'one', three: 'host', host: 'three' },
  programs: { count: join(ROOT, 'programs/count') },
};

/** Namespaces and links; the appliance's own kernel is the peer behind the tap. */
async function makeNamespaces() {
  const lifetimeS = SECONDS + 300;
  const made = [1, 2, 3, 4].map(() => Namespace.create(lifetimeS));
  const [middle, left, right, third] = (await Promise.all(made)) as [
    Namespace,
    Namespace,
    Namespace,
    Namespace,
  ];
  // The kernel of the tap must not answer what the packet sockets see, too.
  middle.run('sysctl', '-qw', 'net.ipv4.conf.all.arp_ignore=1');
  const ends = [
    { namespace: left, near: 'one', far: 'left', address: '10.1.0.1' },
    { namespace: right, near: 'two', far: 'right', address: '10.1.0.2' },
    { namespace: third, near: 'three', far: 'third', address: '10.2.0.1' },
  ];
  for (const { namespace, near, far, address } of ends) {
    middle.veth(near, namespace, far);
    namespace.ip(`addr add ${address}/24 dev ${far}`);
  }
  return { middle, left, right, third };
}

async function soak(): Promise<Soak> {
  const { middle, left, right, third } = await makeNamespaces();
  const appliance = await RunningAppliance.start(middle, CONFIG);
  const peers: Peer[] = [];
  try {
    middle.ip('addr add 10.2.0.2/24 dev host');
    peers.push(
      new Peer(right, '10.1.0.2', '10.1.0.1', 'server', SECONDS),
      new Peer(left, '10.1.0.1', '10.1.0.2', 'client', SECONDS),
      new Peer(middle, '10.2.0.2', '10.2.0.1', 'server', SECONDS),
      new Peer(third, '10.2.0.1', '10.2.0.2', 'client', SECONDS),
    );
    const samples = await watch(appliance.pid);
    const counts = await Promise.all(peers.map((peer) => peer.counts));
    return { samples, report: await appliance.stop(), peers: counts };
  } finally {
    for (const peer of peers) peer.kill();
    appliance.kill();
    for (const namespace of [middle, left, right, third]) namespace.close();
  }
}

function findings({ report }: Soak): Finding[] {
  const ports = Object.values(report.stats.ports);
  const impaired = ports.reduce((sum, port) => sum + port.drops.impaired, 0);
  const flow = ports.every(({ rx, tx }) => rx > 100 * MINUTES && tx > 100 * MINUTES);
  return [[`packets of every port, and bad ones (${impaired} impaired)`, impaired > 0 && flow]];
}

const reason = obstacle('sysctl');
if (reason !== undefined) throw new Error(`soak: ${reason}`);
await conclude('soak', CONFIG, soak, findings);
