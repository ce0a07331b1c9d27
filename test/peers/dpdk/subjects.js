// Who is measured beside whom, with which command lines, and what each has to forward.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeCapture } from '../../../host/dist/capture-file.js';
import { runTestpmd } from './testpmd.js';
import { filterPackets, packetsByHop, routedPackets, routeTable } from './traffic.js';

const HERE = dirname(fileURLToPath(import.meta.url));
export const ROOT = join(HERE, '../../..');
export const HUGEPAGES = process.env.WIRELET_BENCH_HUGEPAGES === '1';
/** Those of 2 MiB that the largest subject may need: pools, a table of 64 MiB, what EAL takes. */
const HUGEPAGES_NEEDED = 300;
const MS = Number(process.env.WIRELET_BENCH_SECONDS ?? 2) * 1000;
const DESCRIPTORS = 1024;
const CPU = cpus().length - 1;
const ROUTES = 65_536;
/** Different packets of each port: a driver hands out copies of them, over and over. */
const ROUTED_PACKETS = 8192;
const FILTER_PACKETS = 4096;
/** Buffers: net_pcap keeps its packets in some. */
const NULL_FRAMES = 16_384;
const PCAP_FRAMES = 32_768;
/** Of what a subject sends, how far from the exact share one port's may be: it stops anywhere. */
const SHARE_TOLERANCE = 0.005;
const EAL = HUGEPAGES
  ? ['--in-memory', '--no-pci']
  : ['--no-huge', '--no-shconf', '--no-telemetry', '--no-pci', '-m', '512'];
const NULL_DEVICES = ['net_null0,size=64', 'net_null1,size=64'];

/**
 * Our frames go without hugepages where there are too few, and nobody would see it.
 * @throws where fewer are free
 */
export function checkHugepages() {
  if (!HUGEPAGES) return;
  const file = '/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages';
  const free = Number(readFileSync(file, 'utf8'));
  if (free >= HUGEPAGES_NEEDED) return;
  const command = `sysctl -w vm.nr_hugepages=${HUGEPAGES_NEEDED}`;
  throw new Error(`${free} hugepages are free, ${HUGEPAGES_NEEDED} are needed: ${command}`);
}

const pcapDevices = (file) => [0, 1].map((i) => `net_pcap${i},rx_pcap=${file},infinite_rx=1`);

/** Files that all subjects read, in `folder`; the C peers are built there, too. */
export function prepare(folder) {
  const at = (name) => join(folder, name);
  const routes = routeTable(ROUTES, 2);
  const routed = routedPackets(ROUTED_PACKETS, routes);
  const lines = routes.map(({ address, length, hop }) => `${address} ${length} ${hop}\n`);
  writeFileSync(at('routes'), lines.join(''));
  writeFileSync(at('routed.pcap'), encodeCapture(routed, 0));
  writeFileSync(at('udp53.pcap'), encodeCapture(filterPackets(FILTER_PACKETS), 0));
  const shares = packetsByHop(routed, routes, 2).map((count) => count / routed.length);
  return { at, shares };
}

/** Throws with the compiler's words. */
export function buildLoop({ at }) {
  const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] };
  const flags = execFileSync('pkg-config', ['--cflags', '--libs', 'libdpdk'], options);
  const source = join(HERE, 'loop.c');
  const fast = ['-O3', '-march=native', source, '-o', at('loop')];
  execFileSync('cc', [...fast, ...flags.trim().split(/\s+/)], options);
}

export function buildFilter({ at }) {
  const target = ['-O2', '-ffreestanding', '-target', 'bpf'];
  const source = join(HERE, '../udp53.bpf.c');
  execFileSync('clang', [...target, '-c', source, '-o', at('udp53.o')], { stdio: 'pipe' });
}

/** Ours on two ports: `programs` is a config's, by name; `routes` a file for l3fwd's table. */
function wirelet({ devices, burst, frames, programs, routes }) {
  const [a, b] = devices.map((device) => `dpdk:${device}?rxd=${DESCRIPTORS}&txd=${DESCRIPTORS}`);
  const config = {
    lcores: [CPU],
    burst,
    frames,
    hugepages: HUGEPAGES,
    idle: 'poll',
    ports: { a, b },
    forward: { a: 'b', b: 'a' },
    programs,
    dpdk: { eal: EAL },
  };
  const file = join(HERE, 'appliance.js');
  const command = [process.execPath, file, JSON.stringify(config), String(MS)];
  if (routes) command.push(routes);
  return { command, run: () => runAndRead(command) };
}

function testpmd(mode, burst, extra = []) {
  const eal = [...EAL, ...NULL_DEVICES.map((device) => `--vdev=${device}`), `--lcores=0,1@${CPU}`];
  const rings = [`--rxd=${DESCRIPTORS}`, `--txd=${DESCRIPTORS}`];
  const pool = [`--total-num-mbufs=${NULL_FRAMES}`, '--mbcache=256', '--mbuf-size=2240'];
  const app = ['-i', `--forward-mode=${mode}`, `--burst=${burst}`, ...rings, ...pool, ...extra];
  const command = ['dpdk-testpmd', ...eal, '--', ...app];
  return { command, run: () => runTestpmd(command, MS) };
}

/** loop.c, which see. */
function loop({ at }, devices, work, file, burst) {
  const eal = [...EAL, ...devices.map((device) => `--vdev=${device}`), `--lcores=0,1@${CPU}`];
  const numbers = [MS, burst, PCAP_FRAMES, DESCRIPTORS].map(String);
  const command = [at('loop'), ...eal, '--', work, file, ...numbers];
  return { command, run: () => runAndRead(command) };
}

function runAndRead([command, ...args]) {
  const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] };
  // EAL writes to standard output, too; the answer is the last line.
  return JSON.parse(execFileSync(command, args, options).trim().split('\n').at(-1));
}

/** What a subject did, if it forwarded what it had to: `sent` are shares of what it received. */
export function checked({ packets, sent, cpuNs, ns }, shares) {
  const got = sent.map((count) => count / packets);
  const wrong = got.some((share, port) => !(Math.abs(share - shares[port]) < SHARE_TOLERANCE));
  if (wrong || got.length !== shares.length) {
    throw new Error(
      `of ${packets} packets ${sent.join(' and ')} left, not ${shares.join(' and ')}`,
    );
  }
  return { nsPerPacket: cpuNs / packets, mpps: (packets / ns) * 1e3 };
}

const HALVES = [0.5, 0.5];

/** io and macswap: the same driver and arguments as testpmd's. */
export function forwarding(work, burst) {
  const programs = work === 'io' ? {} : { macswap: join(ROOT, 'programs/macswap') };
  const ours = wirelet({ devices: NULL_DEVICES, burst, frames: NULL_FRAMES, programs });
  const row = { work, burst, shares: HALVES };
  return [
    { ...row, name: 'ours', ...ours },
    { ...row, name: 'testpmd', ...testpmd(work, burst) },
    { ...row, name: 'testpmd, external buffers', ...testpmd(work, burst, ['--mp-alloc=xbuf']) },
  ];
}

export function routing(files, burst) {
  const devices = pcapDevices(files.at('routed.pcap'));
  const mac = (port, last) => `02:00:00:00:0${port}:0${last}`;
  const hops = [0, 1].map((port) => `${port}, ${mac(port, 2)}, ${mac(port, 1)}`);
  const l3fwd = {
    source: join(ROOT, 'programs/l3fwd'),
    redirectTo: ['a', 'b'],
    settings: { hops, capacity: ROUTES },
  };
  const routes = files.at('routes');
  const programs = { l3fwd };
  const row = { work: 'l3fwd', burst, shares: files.shares };
  const c = (work) => loop(files, devices, work, routes, burst);
  const ours = wirelet({ devices, burst, frames: PCAP_FRAMES, programs, routes });
  return [
    { ...row, name: 'ours', ...ours },
    { ...row, name: 'rte_lpm', ...c('l3fwd-one') },
    { ...row, name: 'rte_lpm, 4 at once', ...c('l3fwd') },
    { ...row, name: 'rte_lpm, checksum verified', ...c('l3fwd-verify') },
  ];
}

export function filtering(files, burst) {
  const devices = pcapDevices(files.at('udp53.pcap'));
  const programs = { udp53: join(HERE, '../udp53') };
  // One packet in 8 is dropped.
  const row = { work: 'filter', burst, shares: [7 / 16, 7 / 16] };
  return [
    { ...row, name: 'ours', ...wirelet({ devices, burst, frames: PCAP_FRAMES, programs }) },
    { ...row, name: 'librte_bpf', ...loop(files, devices, 'filter', files.at('udp53.o'), burst) },
  ];
}

/** The driver that routes and filters are measured with, and nothing else. */
export function bare(files, burst) {
  const devices = pcapDevices(files.at('udp53.pcap'));
  const row = { work: 'io, net_pcap', burst, shares: HALVES };
  const ours = wirelet({ devices, burst, frames: PCAP_FRAMES, programs: {} });
  return [
    { ...row, name: 'ours', ...ours },
    { ...row, name: 'C', ...loop(files, devices, 'io', '-', burst) },
  ];
}

/** As it is run, but for the folder that this checkout lies in. */
export function commandText(command) {
  const word = (text) => (/[{ ]/.test(text) ? `'${text}'` : text);
  return command.map((part) => word(part.replaceAll(`${ROOT}/`, ''))).join(' ');
}

export function fileOf(name) {
  const suffix = HUGEPAGES ? '-hugepages' : '';
  return relative(process.cwd(), join(ROOT, 'bench/results', `${name}${suffix}.json`));
}
