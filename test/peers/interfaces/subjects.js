// Who is measured on the veth pairs, and how each is run: ours and DPDK's in user space, the bridge
// and an XDP program in the kernel.
import { execFileSync, spawn } from 'node:child_process';

/** What a subject does, and testpmd's name for it. */
const MODES = { receive: 'rxonly', transmit: 'txonly', forward: 'io', reflect: 'io' };
/** The interfaces of each work; their ends in the other namespace are `farN`. */
export const PORTS = {
  receive: ['near0'],
  transmit: ['near0'],
  forward: ['near0', 'near1'],
  reflect: ['near0'],
};
/** The subject runs on this CPU, whoever sends to it on the other. */
export const [PEER_CPU, CPU] = [0, 1];
export const TESTPMD_START_MS = 3000;
/** Rings as long as ours; past the queueing discipline, as we do. */
const TUNED = { net_af_packet: ',framecnt=4096,qdisc_bypass=1', net_af_xdp: '' };

const ALL = ['receive', 'transmit', 'forward', 'reflect'];
export const SUBJECTS = [
  { name: 'wirelet af_xdp', driver: 'af_xdp', works: ALL, start: wirelet },
  { name: 'dpdk net_af_xdp', driver: 'net_af_xdp', works: ALL, start: testpmd },
  { name: 'wirelet af_packet', driver: 'af_packet', works: ALL, start: wirelet },
  { name: 'dpdk net_af_packet', driver: 'net_af_packet', works: ALL, start: testpmd },
  { name: 'kernel bridge', driver: '', works: ['forward'], start: bridge },
  { name: 'kernel XDP_TX', driver: '', works: ['reflect'], start: xdpTx },
];

export function tool(command, args) {
  return execFileSync(command, args, { encoding: 'utf8' }).trim();
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Ends a child and waits for it. */
export async function end(child, signal = 'SIGKILL') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((done) => child.once('close', done));
  child.kill(signal);
  await ended;
}

/** A child with all that it has printed. */
export function start(command) {
  const child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
  const running = { command, child, output: '', lines: [] };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      running.output += text;
      running.lines.push({ ms: performance.now(), text });
    });
  }
  running.ended = new Promise((done) => child.once('close', done));
  return running;
}

/** `stop` returns what the subject says of itself, `{ mpps, busyNs }`; in the kernel nothing. */
function wirelet({ driver }, work, bytes, { example, seconds }) {
  const specs = PORTS[work].map((name) => `${driver}:${name}`);
  const args = [work, ...specs, '--seconds', String(seconds), '--bytes', String(bytes)];
  const running = start([example, ...args, '--cpu', String(CPU)]);
  const stop = async () => {
    await running.ended;
    const [, rate, busy, user, system] =
      /([\d.]+) Mpps, per packet ([\d.]+) ns busy, CPU (\d+) ns .*?(\d+) ns in it/.exec(
        running.output,
      ) ?? [];
    if (!rate) throw new Error(`port_rate: ${running.output.trim()}`);
    return { mpps: +rate, busyNs: +busy, userNs: +user, systemNs: +system };
  };
  return { command: running.command, stop };
}

function testpmd({ driver }, work, bytes, { seconds }) {
  const tuned = TUNED[driver];
  const vdevs = PORTS[work].flatMap((name, index) => [
    '--vdev',
    `${driver}${index},iface=${name}${tuned}`,
  ]);
  const eal = ['-l', `${PEER_CPU},${CPU}`, '--no-huge', '--no-shconf', '-m', '256', '--no-pci'];
  const mode = ['--forward-mode', MODES[work], '--txpkts', String(bytes), '--burst', '64'];
  const loop = work === 'reflect' ? ['--port-topology', 'loop'] : [];
  const rest = ['--nb-cores', '1', '--record-core-cycles', '--stats-period', '1'];
  const memory = ['--total-num-mbufs', '16384', '--no-lsc-interrupt'];
  const options = ['--no-telemetry', ...vdevs, '--', ...mode, ...loop, ...rest, ...memory];
  const running = start(['dpdk-testpmd', ...eal, ...options]);
  const begun = performance.now();
  const stop = async () => {
    const left = TESTPMD_START_MS + seconds * 1000 - (performance.now() - begun);
    await sleep(Math.max(left, 0));
    const direction = work === 'receive' ? 'RX' : 'TX';
    const samples = running.lines.flatMap(({ ms, text }) =>
      [...text.matchAll(new RegExp(`${direction}-packets: (\\d+)`, 'g'))].map(([, packets]) => ({
        ms,
        packets: +packets,
      })),
    );
    await end(running.child, 'SIGINT');
    if (samples.length < 2) {
      throw new Error(`testpmd: ${running.output.trim().split('\n').slice(-3).join(' ')}`);
    }
    return readTestpmd(samples, running.output, PORTS[work].length);
  };
  return { command: running.command, stop };
}

/** Each sample is one port's; the busy time is testpmd's own, over all that it received or sent. */
function readTestpmd(samples, output, ports) {
  const rows = [];
  for (let at = 0; at + ports <= samples.length; at += ports) {
    const sum = samples.slice(at, at + ports).reduce((total, sample) => total + sample.packets, 0);
    rows.push({ ms: samples[at].ms, packets: sum });
  }
  const moving = rows.filter((row) => row.packets > 0);
  const [first, last] = [moving[0], moving.at(-1)];
  const mpps = first ? (last.packets - first.packets) / (last.ms - first.ms) / 1000 : 0;
  const cycles = /CPU cycles\/packet=([\d.]+)/.exec(output)?.[1];
  const mhz = /@ ([\d.]+) MHz|Clock ([\d.]+)/.exec(output)?.[1];
  const hz = mhz ? Number(mhz) * 1e6 : cyclesHz();
  return { mpps, busyNs: cycles ? (Number(cycles) / hz) * 1e9 : Number.NaN };
}

let knownHz = 0;
function cyclesHz() {
  knownHz ||= Number(/cpu MHz\s*: ([\d.]+)/.exec(tool('cat', ['/proc/cpuinfo']))?.[1]) * 1e6;
  return knownHz;
}

function bridge(_subject, work, _bytes, { seconds }) {
  tool('ip', ['link', 'add', 'bridge', 'type', 'bridge', 'mcast_snooping', '0']);
  tool('ip', ['link', 'set', 'bridge', 'addrgenmode', 'none']);
  for (const name of PORTS[work]) tool('ip', ['link', 'set', name, 'master', 'bridge']);
  tool('ip', ['link', 'set', 'bridge', 'up']);
  const stop = async () => {
    await sleep(seconds * 1000);
    tool('ip', ['link', 'del', 'bridge']);
    return {};
  };
  return { command: ['ip', 'link', 'set', ...PORTS[work], 'master', 'bridge'], stop };
}

function xdpTx(_subject, work, _bytes, { xdpTx: program, seconds }) {
  const running = start([program, ...PORTS[work]]);
  const stop = async () => {
    await sleep(seconds * 1000);
    const early = running.child.exitCode !== null;
    await end(running.child);
    if (early) throw new Error(running.output.trim());
    return {};
  };
  return { command: running.command, stop };
}
