// `npm run bench:peers`: one filter, the same packets, in Wirelet, in librte_bpf's JIT and in the
// kernel's XDP JIT, in turn, medians. A peer that can't run here is named with the reason.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeCapture } from '../../host/dist/capture-file.js';
import { median } from '../../scripts/median.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '../..');
const BURSTS = (process.env.WIRELET_BENCH_BURSTS ?? '1,8,32,64,256').split(',').map(Number);
const TURNS = Number(process.env.WIRELET_BENCH_TURNS ?? 7);
const SAMPLES_PER_TURN = 5;
const RESIDENT = 4096;

/** 64-byte UDP packets: one in 8 to port 53, one in 4 from 10.0.0.0/8, so 1 in 8 is dropped. */
function packets() {
  return Array.from({ length: RESIDENT }, (_, index) => {
    const packet = new Uint8Array(64);
    const view = new DataView(packet.buffer);
    packet.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 50]);
    packet.set([64, 17, 0, 0, index % 4 === 0 ? 10 : 192, 0, 0, 1, 10, 0, 0, 2], 22);
    view.setUint16(34, 1024 + (index % 64));
    view.setUint16(36, index % 8 === 0 ? 53 : 1000 + (index % 1000));
    view.setUint16(38, 30);
    return packet;
  });
}

/** As packets.h reads them. */
function peerFile(all) {
  const count = Buffer.alloc(4);
  count.writeUInt32LE(all.length);
  const records = all.flatMap((packet) => {
    const length = Buffer.alloc(2);
    length.writeUInt16LE(packet.length);
    return [length, packet];
  });
  return Buffer.concat([count, ...records]);
}

/** @param {string} command @param {string[]} args */
function tool(command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  if (result.status === 0) return result.stdout.trim();
  const text = result.error?.message ?? result.stderr.trim().split('\n').at(-1) ?? '';
  throw new Error(`${command}: ${text}`);
}

function numbers(text) {
  return text.split('\n').filter(Boolean).map(Number);
}

function buildRteBpf(folder) {
  const flags = tool('pkg-config', ['--cflags', '--libs', 'libdpdk']).split(/\s+/);
  const [program, filter] = [join(folder, 'rte_bpf'), join(folder, 'rte.o')];
  tool('cc', ['-O3', '-march=native', join(HERE, 'rte_bpf.c'), '-o', program, ...flags]);
  const source = join(HERE, 'udp53.bpf.c');
  tool('clang', ['-O2', '-ffreestanding', '-target', 'bpf', '-c', source, '-o', filter]);
  const file = join(folder, 'packets');
  return (burst) => numbers(tool(program, [filter, file, String(burst), String(SAMPLES_PER_TURN)]));
}

function buildXdp(folder) {
  const [program, object, code] = ['xdp', 'xdp.o', 'xdp.bin'].map((name) => join(folder, name));
  const source = join(HERE, 'udp53.bpf.c');
  tool('cc', ['-O2', join(HERE, 'xdp.c'), '-o', program]);
  const target = ['-O2', '-DXDP', '-ffreestanding', '-target', 'bpf'];
  tool('clang', [...target, '-c', source, '-o', object]);
  tool('llvm-objcopy', ['-O', 'binary', '--only-section=xdp', object, code]);
  const run = () => numbers(tool(program, [code, join(folder, 'packets'), '3']));
  run();
  return run;
}

/** A peer that can't be built or run is a sentence, not a failure: not every machine has DPDK. */
function attempt(name, build) {
  try {
    return build();
  } catch (error) {
    console.log(`${name}: not measured (${error.message})`);
    return undefined;
  }
}

function wirelet(folder, burst) {
  const raw = join(folder, 'raw.json');
  execFileSync(process.execPath, [
    join(ROOT, 'host/bin/wirelet.js'),
    ...['bench', join(HERE, 'udp53'), '--in', join(folder, 'packets.pcap'), '--json'],
    ...['--burst', String(burst), '--rounds', String(SAMPLES_PER_TURN), '--raw', raw],
  ]);
  const [row] = JSON.parse(readFileSync(raw, 'utf8')).rows;
  return { wasm: row.samples, native: row.nativeSamples };
}

function main() {
  const folder = mkdtempSync(join(tmpdir(), 'wirelet-peers-'));
  try {
    const all = packets();
    writeFileSync(join(folder, 'packets'), peerFile(all));
    writeFileSync(join(folder, 'packets.pcap'), encodeCapture(all, 0));
    const rteBpf = attempt('librte_bpf JIT', () => buildRteBpf(folder));
    const xdp = attempt('kernel XDP JIT', () => buildXdp(folder));
    const rows = BURSTS.map((burst) => ({ burst, wasm: [], native: [], rteBpf: [], xdp: [] }));
    for (let turn = 0; turn < TURNS; turn++) {
      for (const row of rows) {
        const ours = wirelet(folder, row.burst);
        row.wasm.push(...ours.wasm);
        row.native.push(...ours.native);
        if (rteBpf) row.rteBpf.push(...rteBpf(row.burst));
        if (xdp) row.xdp.push(...xdp());
      }
    }
    print(rows);
    const results = join(ROOT, 'bench/results');
    mkdirSync(results, { recursive: true });
    writeFileSync(join(results, 'peers.json'), `${JSON.stringify({ unit: 'ns/packet', rows })}\n`);
    console.log('raw samples: bench/results/peers.json');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function print(rows) {
  console.log('ns per packet, medians; the kernel runs one warm packet and has no bursts');
  console.log('burst   wasm  native  librte_bpf  XDP  librte_bpf/wasm');
  for (const row of rows) {
    const [wasm, native, rteBpf, xdp] = [row.wasm, row.native, row.rteBpf, row.xdp].map(median);
    const cells = [wasm, native, rteBpf, xdp, rteBpf / wasm].map((value) => value.toFixed(2));
    console.log([String(row.burst), ...cells].map((cell) => cell.padStart(6)).join('  '));
  }
}

main();
