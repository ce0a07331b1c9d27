/**
 * `npm run soak`: an appliance between real peers for WIRELET_SOAK_MINUTES (10), over af_packet,
 * af_xdp and tap ports, each behind a `fault` wrapper that is bad both ways. Every packet has one
 * outcome, every frame comes back, and neither memory nor mappings nor descriptors grow. Needs
 * root. Results: bench/results/soak.json; the exit status is 1 where something does not hold.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Report, RunningAppliance } from './appliance.js';
import { Namespace, obstacle } from './namespace.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PEER = join(ROOT, 'test/netns/soak-peer.js');
const MINUTES = Number(process.env.WIRELET_SOAK_MINUTES ?? 10);
const SECONDS = Math.round(MINUTES * 60);
/** Compilers and garbage of the start are gone by then. */
const SETTLE_S = Math.min(60, SECONDS / 4);
const SAMPLE_MS = 1000;
/** What garbage that is not collected yet may come to, and a worker of Node's. */
const RSS_GROWTH_MAX = 24 * 2 ** 20;
const MAPPINGS_GROWTH_MAX = 40;
const DESCRIPTORS_GROWTH_MAX = 4;

interface Sample {
  s: number;
  rss: number;
  mappings: number;
  descriptors: number;
}

interface PeerCounts {
  sent: number;
  received: number;
  equal: number;
  different: number;
  broken: number;
  /** Of transfers whose bytes came back as others: lengths, and where they differ. */
  differences: object[];
  /** Of TCP connections, by code. */
  errors: Record<string, number>;
}

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

class Peer {
  readonly counts: Promise<PeerCounts>;
  readonly #child: ChildProcess;

  constructor(namespace: Namespace, ours: string, theirs: string, role: 'server' | 'client') {
    const words = [process.execPath, PEER, ours, theirs, role, String(SECONDS)];
    const [file, args] = namespace.inside(words);
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    this.counts = new Promise((resolve, reject) => {
      child.once('close', (status) => {
        if (status === 0) resolve(JSON.parse(text) as PeerCounts);
        else reject(new Error(`a peer ended with ${status}`));
      });
    });
    this.#child = child;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

function sampleOf(pid: number, s: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const rss = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) * 1024;
  const mappings = readFileSync(`/proc/${pid}/maps`, 'utf8').trim().split('\n').length;
  return { s, rss, mappings, descriptors: readdirSync(`/proc/${pid}/fd`).length };
}

/** A sample a second, as long as the peers send. */
async function watch(pid: number): Promise<Sample[]> {
  const samples: Sample[] = [];
  const started = performance.now();
  for (let s = 0; s < SECONDS; s = Math.round((performance.now() - started) / 1000)) {
    samples.push(sampleOf(pid, s));
    if (s > 0 && s % 60 === 0) process.stderr.write(`soak: ${s / 60} of ${MINUTES} minutes\n`);
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
  }
  return samples;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? 0;
}

/** How much more of it there is in the last quarter than in the first one after the settling. */
function growth(samples: readonly Sample[], key: 'rss' | 'mappings' | 'descriptors'): number {
  const settled = samples.filter(({ s }) => s >= SETTLE_S).map((sample) => sample[key]);
  const quarter = Math.max(1, settled.length >> 2);
  return median(settled.slice(-quarter)) - median(settled.slice(0, quarter));
}

interface Soak {
  samples: Sample[];
  report: Report;
  peers: PeerCounts[];
}

async function soak(): Promise<Soak> {
  const { middle, left, right, third } = await makeNamespaces();
  const appliance = await RunningAppliance.start(middle, CONFIG);
  const peers: Peer[] = [];
  try {
    middle.ip('addr add 10.2.0.2/24 dev host');
    peers.push(
      new Peer(right, '10.1.0.2', '10.1.0.1', 'server'),
      new Peer(left, '10.1.0.1', '10.1.0.2', 'client'),
      new Peer(middle, '10.2.0.2', '10.2.0.1', 'server'),
      new Peer(third, '10.2.0.1', '10.2.0.2', 'client'),
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

/** What must hold, and whether it does. */
function findings({ samples, report, peers }: Soak): [string, boolean][] {
  const { conservation, stats, errors } = report;
  const ports = Object.values(stats.ports);
  const [rss, mappings, descriptors] = [
    growth(samples, 'rss'),
    growth(samples, 'mappings'),
    growth(samples, 'descriptors'),
  ];
  const received = ports.reduce((sum, { rx }) => sum + rx, 0);
  const impaired = ports.reduce((sum, port) => sum + port.drops.impaired, 0);
  const equal = peers.reduce((sum, peer) => sum + peer.equal, 0);
  const broken = peers.reduce((sum, peer) => sum + peer.broken, 0);
  const different = peers.reduce((sum, peer) => sum + peer.different, 0);
  return [
    [`every packet has one outcome (${received} received)`, conservation.exact],
    [`every frame is back (${stats.framesUsed} are not)`, stats.framesUsed === 0],
    [`no errors (${errors.length})`, errors.length === 0],
    [`packets of every port, and bad ones (${impaired} impaired)`, impaired > 0 && allFlow(ports)],
    [`TCP brings what was sent (${equal} equal, ${different} not)`, equal > 0 && different === 0],
    [`no TCP connection breaks (${broken})`, broken === 0],
    [`memory is flat (${(rss / 2 ** 20).toFixed(1)} MiB more)`, rss <= RSS_GROWTH_MAX],
    [`mappings are flat (${mappings} more)`, mappings <= MAPPINGS_GROWTH_MAX],
    [`descriptors are flat (${descriptors} more)`, descriptors <= DESCRIPTORS_GROWTH_MAX],
  ];
}

function allFlow(ports: readonly { rx: number; tx: number }[]): boolean {
  return ports.every(({ rx, tx }) => rx > 100 * MINUTES && tx > 100 * MINUTES);
}

async function main(): Promise<void> {
  const reason = obstacle('sysctl');
  if (reason !== undefined) throw new Error(`soak: ${reason}`);
  process.stderr.write(`soak: ${MINUTES} minutes\n`);
  const time = new Date().toISOString();
  const soaked = await soak();
  const found = findings(soaked);
  for (const [what, holds] of found) {
    process.stdout.write(`${holds ? 'ok  ' : 'FAIL'}  ${what}\n`);
  }
  const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, kernel: release() };
  const conditions = { load: loadavg(), node: process.version };
  const results = join(ROOT, 'bench/results');
  mkdirSync(results, { recursive: true });
  const kept = { time, minutes: MINUTES, machine, conditions, config: CONFIG, found, ...soaked };
  // No paths of this machine in it.
  const text = JSON.stringify(kept).replaceAll(ROOT, '');
  writeFileSync(join(results, 'soak.json'), `${text}\n`);
  process.exitCode = found.every(([, holds]) => holds) ? 0 : 1;
}

await main();
