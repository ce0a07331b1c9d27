// `npm run bench:interfaces`: what one lcore does on veth pairs, our devices and DPDK's on the same
// kind of socket, in turn: receive, transmit, forward. Needs root, and testpmd for the peers. All
// interfaces are in network namespaces that go with this process.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '../..');
const TURNS = Number(process.env.WIRELET_BENCH_TURNS ?? 5);
const SECONDS = Number(process.env.WIRELET_BENCH_SECONDS ?? 3);
const SIZES = (process.env.WIRELET_BENCH_BYTES ?? '64,1500').split(',').map(Number);
const WORKS = ['receive', 'transmit', 'forward'];
const MODES = { receive: 'rxonly', transmit: 'txonly', forward: 'io' };
/** The interface of each work that has the subject; its end in the other namespace is `peerN`. */
const PORTS = { receive: ['near0'], transmit: ['near0'], forward: ['near0', 'near1'] };
/** The subject runs on this CPU, whoever sends to it on the other. */
const [PEER_CPU, CPU] = [0, 1];
const TESTPMD_START_MS = 3000;

const SUBJECTS = [
  { name: 'wirelet af_xdp', driver: 'af_xdp', run: wirelet },
  { name: 'dpdk net_af_xdp', driver: 'net_af_xdp', run: testpmd },
  { name: 'wirelet af_packet', driver: 'af_packet', run: wirelet },
  { name: 'dpdk net_af_packet', driver: 'net_af_packet', run: testpmd },
];

const only = process.env.WIRELET_BENCH_ONLY;

/** @param {string} command @param {string[]} args */
function tool(command, args) {
  return execFileSync(command, args, { encoding: 'utf8' }).trim();
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Runs itself again in namespaces of its own. */
function enterNamespace() {
  const args = ['--net', '--mount', process.execPath, fileURLToPath(import.meta.url)];
  const env = { ...process.env, WIRELET_BENCH_INSIDE: '1' };
  process.exitCode = spawnSync('unshare', args, { stdio: 'inherit', env }).status ?? 1;
}

function buildExample() {
  const args = ['build', '--release', '-p', 'wirelet-drivers', '--example', 'port_rate'];
  const options = { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  const messages = execFileSync('cargo', [...args, '--message-format=json'], options);
  const artifacts = messages
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return artifacts.findLast((message) => message.executable).executable;
}

/** Two veth pairs; the far ends are in a namespace that `holder` keeps. */
function makeInterfaces(holder) {
  // libxdp keeps its dispatcher here.
  spawnSync('mount', ['-t', 'bpf', 'bpf', '/sys/fs/bpf']);
  for (const number of [0, 1]) {
    const [near, far] = [`near${number}`, `far${number}`];
    const type = ['type', 'veth', 'peer', 'name', far, 'netns', String(holder.pid)];
    tool('ip', ['link', 'add', near, ...type]);
    for (const [prefix, name] of [
      [[], near],
      [inside(holder), far],
    ]) {
      const [command = 'ip', ...args] = [...prefix, 'ip', 'link', 'set', name];
      tool(command, [...args, 'addrgenmode', 'none']);
      tool(command, [...args, 'up']);
    }
  }
}

const inside = (holder) => ['nsenter', '-t', String(holder.pid), '-n'];

/** The other ends: one sends, or all drop what comes, in the kernel. */
function startPeers(work, bytes, context) {
  const far = PORTS[work].map((name) => name.replace('near', 'far'));
  const seconds = String(SECONDS + (TESTPMD_START_MS / 1000) * 2);
  return far.map((name, index) => {
    const sends = work !== 'transmit' && index === 0;
    const spec = sends ? [`af_xdp:${name}`] : [`af_xdp:${name}?rx=64`];
    const args = [sends ? 'transmit' : 'hold', ...spec, '--seconds', seconds];
    const tuned = ['--bytes', String(bytes), '--cpu', String(PEER_CPU)];
    const [command = '', ...rest] = [...inside(context.holder), context.example, ...args, ...tuned];
    return spawn(command, rest, { stdio: 'ignore' });
  });
}

/** Ends a child and waits for it. */
async function end(child, signal = 'SIGKILL') {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((done) => child.once('close', done));
  child.kill(signal);
  await ended;
}

function wirelet({ driver }, work, bytes, { example }) {
  const specs = PORTS[work].map((name) => `${driver}:${name}`);
  const args = [work, ...specs, '--seconds', String(SECONDS), '--bytes', String(bytes)];
  const command = [example, ...args, '--cpu', String(CPU)];
  const text = tool(command[0], command.slice(1));
  const [, rate, busy, user, system] =
    /([\d.]+) Mpps, per packet ([\d.]+) ns busy, CPU (\d+) ns .*?(\d+) ns in it/.exec(text) ?? [];
  return { command, mpps: +rate, busyNs: +busy, userNs: +user, systemNs: +system };
}

async function testpmd({ driver }, work, bytes) {
  const vdevs = PORTS[work].flatMap((name, index) => ['--vdev', `${driver}${index},iface=${name}`]);
  const eal = ['-l', `${PEER_CPU},${CPU}`, '--no-huge', '--no-shconf', '-m', '256', '--no-pci'];
  const mode = ['--forward-mode', MODES[work], '--txpkts', String(bytes), '--burst', '64'];
  const rest = ['--nb-cores', '1', '--record-core-cycles', '--stats-period', '1'];
  const memory = ['--total-num-mbufs', '16384', '--no-lsc-interrupt'];
  const options = ['--no-telemetry', ...vdevs, '--', ...mode, ...rest, ...memory];
  const command = ['dpdk-testpmd', ...eal, ...options];
  const child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
  const samples = [];
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
    const direction = work === 'receive' ? 'RX' : 'TX';
    for (const [, packets] of text.matchAll(new RegExp(`${direction}-packets: (\\d+)`, 'g'))) {
      samples.push({ ms: performance.now(), packets: +packets });
    }
  });
  await sleep(TESTPMD_START_MS + SECONDS * 1000 + 500);
  const used = samples.length;
  await end(child, 'SIGINT');
  if (used < 2) throw new Error(`testpmd: ${output.trim().split('\n').slice(-3).join(' ')}`);
  return { command, ...readTestpmd(samples.slice(0, used), output, PORTS[work].length) };
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

async function measure(subject, work, bytes, context) {
  const peers = startPeers(work, bytes, context);
  await sleep(500);
  try {
    return await subject.run(subject, work, bytes, context);
  } finally {
    await Promise.all(peers.map((peer) => end(peer)));
    await sleep(300);
  }
}

const middle = (values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

function print(rows) {
  for (const { work, bytes, name, samples, problem } of rows) {
    const label = `${work} ${bytes}`.padEnd(14) + name.padEnd(20);
    if (samples.length === 0) {
      console.log(`${label} not measured: ${problem}`);
      continue;
    }
    const mpps = samples.map((sample) => sample.mpps);
    const busy = middle(samples.map((sample) => sample.busyNs));
    const range = `${Math.min(...mpps).toFixed(3)} to ${Math.max(...mpps).toFixed(3)}`;
    console.log(
      `${label} ${middle(mpps).toFixed(3)} Mpps (${range}), busy ${busy.toFixed(0)} ns/packet`,
    );
    if (samples[0].userNs) {
      const [user, system] = ['userNs', 'systemNs'].map((key) =>
        middle(samples.map((sample) => sample[key])),
      );
      console.log(`${''.padEnd(34)} CPU: ${user} ns outside the kernel, ${system} ns in it`);
    }
  }
  const commands = new Set(rows.flatMap((row) => row.samples.slice(0, 1).map((s) => s.command)));
  for (const command of commands) console.log(command.join(' '));
}

async function main() {
  const example = buildExample();
  const holder = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
  try {
    await sleep(500);
    makeInterfaces(holder);
    await sleep(1500);
    const subjects = SUBJECTS.filter(({ name }) => !only || name.includes(only));
    const rows = SIZES.flatMap((bytes) =>
      WORKS.flatMap((work) => subjects.map((s) => ({ ...s, work, bytes, samples: [] }))),
    );
    for (let turn = 0; turn < TURNS; turn++) {
      for (const row of rows) {
        try {
          row.samples.push(await measure(row, row.work, row.bytes, { example, holder }));
        } catch (error) {
          row.problem ??= error.message;
        }
      }
    }
    print(rows);
    const results = join(ROOT, 'bench/results');
    mkdirSync(results, { recursive: true });
    writeFileSync(join(results, 'interfaces.json'), `${JSON.stringify(rows)}\n`);
  } finally {
    await end(holder);
  }
}

if (process.env.WIRELET_BENCH_INSIDE) await main();
else enterNamespace();
