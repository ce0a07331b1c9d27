/**
 * `npm run bench:idle`: what an appliance without packets costs, and how long the first packet
 * after a silence takes to a program and back. For each device on interfaces, in namespaces of its
 * own; needs root. Results: bench/results/idle.json.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const SECONDS = Number(process.env.WIRELET_BENCH_SECONDS ?? 15);
const PACKETS = Number(process.env.WIRELET_BENCH_PACKETS ?? 32);
const SILENCE_MS = Number(process.env.WIRELET_BENCH_SILENCE_MS ?? 2000);
/** Machine code, garbage and compilers of the start are gone by then. */
const SETTLE_MS = 5000;
const START_MS = 60_000;
const GOALS = { cpuShare: 0.02, firstPacketUs: 1000 };

const DEVICES = ['af_packet:one', 'af_xdp:one', 'tap:one'];

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const tool = (command, ...args) => execFileSync(command, args, { encoding: 'utf8' }).trim();

/** Runs itself again in a network namespace of its own. */
function enterNamespace() {
  const args = ['--net', process.execPath, fileURLToPath(import.meta.url)];
  const env = { ...process.env, WIRELET_BENCH_INSIDE: '1' };
  process.exitCode = spawnSync('unshare', args, { stdio: 'inherit', env }).status ?? 1;
}

function buildExample() {
  const args = ['build', '--release', '-p', 'wirelet-drivers', '--example', 'first_packet'];
  const options = { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] };
  const lines = execFileSync('cargo', [...args, '--message-format=json'], options).split('\n');
  const messages = lines.filter(Boolean).map((line) => JSON.parse(line));
  return messages.findLast((message) => message.executable).executable;
}

/** An appliance whose only port sends back what comes, through a program. */
async function start(folder, device) {
  const program = join(ROOT, 'programs/macswap');
  const config = { ports: { one: device }, forward: { one: 'one' }, programs: { swap: program } };
  writeFileSync(join(folder, 'wirelet.config.json'), JSON.stringify(config));
  const binary = join(ROOT, 'host/bin/wirelet.js');
  const args = [binary, 'run', folder, '--json', '--socket', join(folder, 'control.sock')];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8').on('data', (text) => {
      said[name] += text;
    });
  }
  for (let waited = 0; !said.stderr.includes(' running'); waited += 20) {
    if (child.exitCode !== null || waited > START_MS) throw new Error(said.stderr);
    await sleep(20);
  }
  return { child, said };
}

async function stop({ child, said }) {
  const ended = new Promise((done) => child.once('close', done));
  child.kill('SIGINT');
  await ended;
  const { data } = JSON.parse(said.stdout);
  const { conservation, stats } = data;
  if (!conservation.exact || stats.framesUsed !== 0) throw new Error('packets or frames are lost');
  return stats;
}

/**
 * Nanoseconds by thread, which the kernel counts exactly: on a CPU (column 0), or ready and waiting
 * for one (1).
 */
function threadNs(pid, column) {
  const threads = readdirSync(`/proc/${pid}/task`).map((task) => {
    const path = `/proc/${pid}/task/${task}`;
    const ns = Number(readFileSync(`${path}/schedstat`, 'utf8').split(' ')[column]);
    return [`${readFileSync(`${path}/comm`, 'utf8').trim()} ${task}`, ns];
  });
  return Object.fromEntries(threads);
}

/** How long the lcore could have run and had no CPU, because others had it. */
function lcoreWaitUs(pid) {
  const threads = Object.entries(threadNs(pid, 1));
  return (threads.find(([name]) => name.startsWith('wirelet-lcore0'))?.[1] ?? 0) / 1000;
}

async function idleCpu(pid) {
  const before = threadNs(pid, 0);
  const started = process.hrtime.bigint();
  await sleep(SECONDS * 1000);
  const elapsedNs = Number(process.hrtime.bigint() - started);
  const threads = Object.entries(threadNs(pid, 0))
    .map(([name, ns]) => [name, (ns - (before[name] ?? 0)) / elapsedNs])
    .filter(([, share]) => share > 0)
    .sort(([, one], [, other]) => other - one);
  const cpuShare = threads.reduce((sum, [, share]) => sum + share, 0);
  return { cpuShare, threads: Object.fromEntries(threads) };
}

async function measure(device, example) {
  const isTap = device.startsWith('tap');
  const folder = mkdtempSync(join(tmpdir(), 'wirelet-idle-'));
  if (!isTap) {
    tool('ip', ...'link add one type veth peer name far'.split(' '));
    for (const name of ['one', 'far']) {
      tool('ip', ...`link set ${name} addrgenmode none`.split(' '));
      tool('ip', ...`link set ${name} up`.split(' '));
    }
  }
  const appliance = await start(folder, device);
  try {
    await sleep(SETTLE_MS);
    const idle = await idleCpu(appliance.child.pid);
    const args = [isTap ? 'one' : 'far', String(PACKETS), String(SILENCE_MS)];
    const waited = lcoreWaitUs(appliance.child.pid);
    const latencyUs = JSON.parse(tool(example, ...args));
    const waitUs = lcoreWaitUs(appliance.child.pid) - waited;
    const { sleeps } = (await stop(appliance)).lcores[0];
    return { device, ...idle, sleeps, latencyUs, waitUs };
  } finally {
    appliance.child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
    if (!isTap) tool('ip', 'link', 'del', 'one');
  }
}

/** One line; true when the goals hold. */
function print({ device, cpuShare, threads, latencyUs, waitUs }) {
  const sorted = latencyUs.toSorted((one, other) => one - other);
  const [median, most] = [sorted[sorted.length >> 1], sorted.at(-1)];
  const lost = sorted.filter((us) => us < 0).length;
  const holds = cpuShare < GOALS.cpuShare && most < GOALS.firstPacketUs && lost === 0;
  const [busiest = ''] = Object.entries(threads).map(
    ([name, share]) => `${name.split(' ')[0]} ${(share * 100).toFixed(2)} %`,
  );
  process.stdout.write(
    `${device.padEnd(26)}idle: ${(cpuShare * 100).toFixed(2)} % of a core (${busiest}), ` +
      `first packet: median ${median} µs, most ${most} µs, ${lost} unanswered; the lcore ` +
      `waited ${(waitUs / 1000).toFixed(1)} ms for its CPU in all` +
      `${holds ? '' : '  ABOVE THE GOAL'}\n`,
  );
  return holds;
}

async function main() {
  const example = buildExample();
  const rows = [];
  for (const device of DEVICES) rows.push(await measure(device, example));
  const holds = rows.map(print).every(Boolean);
  const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, kernel: release() };
  const conditions = { load: loadavg(), node: process.version };
  const given = { seconds: SECONDS, packets: PACKETS, silenceMs: SILENCE_MS, goals: GOALS };
  const results = join(ROOT, 'bench/results');
  mkdirSync(results, { recursive: true });
  const time = new Date().toISOString();
  const all = { time, machine, conditions, ...given, rows };
  writeFileSync(join(results, 'idle.json'), `${JSON.stringify(all)}\n`);
  process.exitCode = holds ? 0 : 1;
}

if (process.env.WIRELET_BENCH_INSIDE) await main();
else enterNamespace();
