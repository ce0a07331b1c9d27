// `npm run bench:interfaces`: what one lcore does on veth pairs, our devices, DPDK's on the same
// kind of socket, and the kernel itself, in turn: receive, transmit, forward, send back; packets
// per second and, at a low rate, latency. Needs root, and testpmd for the peers. All interfaces are
// in network namespaces that go with this process.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  end,
  PEER_CPU,
  PORTS,
  SUBJECTS,
  sleep,
  start,
  TESTPMD_START_MS,
  tool,
} from './subjects.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '../../..');
const TURNS = Number(process.env.WIRELET_BENCH_TURNS ?? 5);
const SECONDS = Number(process.env.WIRELET_BENCH_SECONDS ?? 3);
const SIZES = (process.env.WIRELET_BENCH_BYTES ?? '64,1500').split(',').map(Number);
const WORKS = (process.env.WIRELET_BENCH_WORKS ?? 'receive,transmit,forward,reflect').split(',');
const ONLY = process.env.WIRELET_BENCH_ONLY;
/** Between two packets whose latency is measured. */
const LATENCY_EVERY_US = '100';
const HEAD_START_MS = 500;

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

/** port_rate at the other ends, for as long as the subject may take. */
function peer(context, work, specs, bytes, ...more) {
  const lasts = String(context.seconds + TESTPMD_START_MS / 1000);
  const args = [work, ...specs, '--seconds', lasts, '--bytes', String(bytes), ...more];
  const command = [context.example, ...args, '--cpu', String(PEER_CPU)];
  return start([...inside(context.holder), ...command]);
}

/** One sends at full rate, where the subject receives; the kernel counts and drops what arrives. */
function startPeers(work, bytes, context) {
  return PORTS[work].map((name, index) => {
    const spec = `af_xdp:${name.replace('near', 'far')}?rx=64`;
    const sends = work !== 'transmit' && index === 0;
    return peer(context, sends ? 'transmit' : 'hold', [spec], bytes);
  });
}

/** What came out of a subject in the kernel, by the peer that it came to. */
async function arrived(peers, context) {
  const last = peers.at(-1);
  await last.ended;
  const dropped = Number(/dropped (\d+)/.exec(last.output)?.[1]);
  return { mpps: dropped / (context.seconds + TESTPMD_START_MS / 1000) / 1e6 };
}

async function measureRate(subject, work, bytes, context) {
  const running = subject.start(subject, work, bytes, context);
  const peers = startPeers(work, bytes, context);
  try {
    const kernel = subject.driver === '' ? await arrived(peers, context) : undefined;
    return { command: running.command, ...(await running.stop()), ...kernel };
  } finally {
    await Promise.all(peers.map(({ child }) => end(child)));
    await sleep(300);
  }
}

async function measureLatency(subject, work, bytes, context) {
  const longer = { ...context, seconds: context.seconds + TESTPMD_START_MS / 1000 };
  const running = subject.start(subject, work, bytes, longer);
  await sleep(subject.driver.startsWith('net_') ? TESTPMD_START_MS : HEAD_START_MS);
  const specs = PORTS[work].map((name) => `af_xdp:${name.replace('near', 'far')}`);
  const shorter = { ...context, seconds: context.seconds - TESTPMD_START_MS / 1000 };
  const sender = peer(shorter, 'latency', specs, bytes, '--every-us', LATENCY_EVERY_US);
  await sender.ended;
  await running.stop();
  await sleep(300);
  const numbers = /sent (\d+), received (\d+), ns p50 (\d+) p99 (\d+) p99.9 (\d+)/.exec(
    sender.output,
  );
  if (!numbers || numbers[2] === '0') throw new Error(`no answers: ${sender.output.trim()}`);
  const [sent, received, p50, p99, p999] = numbers.slice(1).map(Number);
  return { command: running.command, sent, received, p50, p99, p999 };
}

const middle = (values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const middleOf = (samples, key) => middle(samples.map((sample) => sample[key]));

function describe({ samples, measure }) {
  if (measure === measureLatency) {
    const [p50, p99, p999] = ['p50', 'p99', 'p999'].map((key) => middleOf(samples, key) / 1000);
    return `${p50.toFixed(1)} µs p50, ${p99.toFixed(1)} p99, ${p999.toFixed(1)} p99.9`;
  }
  const mpps = samples.map((sample) => sample.mpps);
  const range = `${Math.min(...mpps).toFixed(3)} to ${Math.max(...mpps).toFixed(3)}`;
  const busy = middleOf(samples, 'busyNs');
  const rate = `${middle(mpps).toFixed(3)} Mpps (${range})`;
  return Number.isNaN(busy) ? rate : `${rate}, busy ${busy.toFixed(0)} ns/packet`;
}

function print(rows) {
  for (const row of rows) {
    const { work, bytes, name, samples, problem, measure } = row;
    const what = measure === measureLatency ? `${work} latency` : work;
    const label = `${what} ${bytes}`.padEnd(22) + name.padEnd(20);
    console.log(`${label} ${samples.length === 0 ? `not measured: ${problem}` : describe(row)}`);
    if (samples[0]?.userNs !== undefined) {
      const [user, system] = ['userNs', 'systemNs'].map((key) => middleOf(samples, key));
      console.log(`${''.padEnd(42)} CPU: ${user} ns outside the kernel, ${system} ns in it`);
    }
  }
  const commands = new Set(
    rows.flatMap(({ samples }) => samples.slice(0, 1).map(({ command }) => words(command))),
  );
  for (const command of commands) console.log(command);
}

/** Every subject with each work and size; latency at the smallest. */
function makeRows() {
  const subjects = SUBJECTS.filter(({ name }) => !ONLY || name.includes(ONLY));
  return SIZES.flatMap((bytes) =>
    WORKS.flatMap((work) => {
      const passes = PORTS[work].length === 2 || work === 'reflect';
      const measures =
        passes && bytes === Math.min(...SIZES) ? [measureRate, measureLatency] : [measureRate];
      return measures.flatMap((measure) =>
        subjects
          .filter(({ works }) => works.includes(work))
          .map((subject) => ({ ...subject, subject, work, bytes, measure, samples: [] })),
      );
    }),
  );
}

/** A row as the file has it: no paths of this machine. */
function kept({ name, work, bytes, measure, samples, problem }) {
  return {
    name,
    work: measure === measureLatency ? `${work} latency` : work,
    bytes,
    samples: samples.map((sample) => ({ ...sample, command: words(sample.command) })),
    problem,
  };
}

const words = (command) => command.join(' ').replaceAll(`${ROOT}/`, '');

function buildXdpTx(folder) {
  const program = join(folder, 'xdp_tx');
  execFileSync('cc', ['-O2', '-o', program, join(HERE, 'xdp_tx.c')]);
  return program;
}

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'wirelet-interfaces-'));
  const holder = spawn('unshare', ['--net', 'sleep', 'infinity'], { stdio: 'ignore' });
  try {
    const example = buildExample();
    const context = { example, holder, seconds: SECONDS, xdpTx: buildXdpTx(folder) };
    await sleep(500);
    makeInterfaces(holder);
    await sleep(1500);
    const rows = makeRows();
    for (let turn = 0; turn < TURNS; turn++) {
      for (const row of rows) {
        try {
          row.samples.push(await row.measure(row.subject, row.work, row.bytes, context));
        } catch (error) {
          row.problem ??= error.message;
        }
      }
    }
    print(rows);
    const results = join(ROOT, 'bench/results');
    mkdirSync(results, { recursive: true });
    writeFileSync(join(results, 'interfaces.json'), `${JSON.stringify(rows.map(kept))}\n`);
  } finally {
    await end(holder);
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.env.WIRELET_BENCH_INSIDE) await main();
else enterNamespace();
