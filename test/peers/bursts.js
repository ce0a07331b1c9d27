// `npm run bench:bursts`: burst sizes and chains of programs, macswap again and again, between two
// `net_null` ports on one lcore. Writes raw samples, and what `npm run docs` makes of them.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BURSTS, burstRows, CHAINS } from '../../scripts/bursts.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '../..');
const TURNS = Number(process.env.WIRELET_BENCH_TURNS ?? 7);
const SECONDS = Number(process.env.WIRELET_BENCH_SECONDS ?? 0.5);
const CPU = cpus().length - 1;

function config(chain, burst) {
  const names = Array.from({ length: chain }, (_, index) => `macswap${index}`);
  return {
    lcores: [CPU],
    burst,
    idle: 'poll',
    ports: { a: 'dpdk:net_null0,size=64', b: 'dpdk:net_null1,size=64' },
    forward: { a: 'b', b: 'a' },
    programs: Object.fromEntries(names.map((name) => [name, join(ROOT, 'programs/macswap')])),
    dpdk: { eal: ['--no-huge', '--no-shconf', '--no-telemetry', '--no-pci', '-m', '256'] },
  };
}

/** Nanoseconds of CPU per packet, in a process of its own: EAL starts once in one. */
function sample({ chain, burst }) {
  const file = join(HERE, 'dpdk/appliance.js');
  const args = [file, JSON.stringify(config(chain, burst)), String(SECONDS * 1000)];
  const { packets, cpuNs } = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }));
  return cpuNs / packets;
}

const rows = CHAINS.flatMap((chain) => BURSTS.map((burst) => ({ chain, burst, samples: [] })));
for (let turn = 0; turn < TURNS; turn++) {
  for (const row of rows) row.samples.push(sample(row));
}
const machine = { kernel: release(), cpu: cpus()[0]?.model, load: loadavg() };
const results = { unit: 'ns of CPU per packet', machine, turns: TURNS, seconds: SECONDS, rows };
const file = join(ROOT, 'bench/results/bursts.json');
writeFileSync(file, `${JSON.stringify(results)}\n`);
console.log(`ns of CPU per packet at bursts of ${BURSTS.join(', ')}; medians of ${TURNS}`);
for (const [name, ...cells] of burstRows(results)) {
  console.log(`${name.padEnd(12)} ${cells.map((cell) => cell.padStart(8)).join(' ')}`);
}
console.log('raw samples: bench/results/bursts.json');
