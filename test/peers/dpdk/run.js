// `npm run bench:dpdk`: ours and DPDK's own on the same driver, with the same arguments, one lcore,
// 64 bytes, in turn, medians: no program and macswap beside testpmd, l3fwd with 64 k routes beside
// its logic in C over rte_lpm, a filter beside librte_bpf's in the receive call.
//
// WIRELET_BENCH_HUGEPAGES=1 needs 300 free hugepages of 2 MiB, and fails without.
// WIRELET_BENCH_WORKS names some of io, macswap, l3fwd and filter; others are not measured, and
// nothing is saved.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { median } from '../../../scripts/median.js';
import * as subjects from './subjects.js';

const TURNS = Number(process.env.WIRELET_BENCH_TURNS ?? 7);
const BURST = 64;
const FILTER_BURSTS = [32, 64, 256];
const WORKS = process.env.WIRELET_BENCH_WORKS?.split(',');

/** Subjects of every work; one that can't be built here is a sentence. */
function subjectsOf(folder) {
  const files = subjects.prepare(folder);
  const isWanted = (work) => WORKS === undefined || WORKS.includes(work);
  const works = {
    io: () => subjects.forwarding('io', BURST),
    macswap: () => subjects.forwarding('macswap', BURST),
    l3fwd: () => [...subjects.bare(files, BURST), ...subjects.routing(files, BURST)],
    filter: () => FILTER_BURSTS.flatMap((burst) => subjects.filtering(files, burst)),
  };
  if (isWanted('l3fwd') || isWanted('filter')) subjects.buildLoop(files);
  if (isWanted('filter')) subjects.buildFilter(files);
  return Object.entries(works).flatMap(([work, all]) => (isWanted(work) ? all() : []));
}

/** A peer that can't run here is a sentence, not a failure; one that loses packets is one. */
async function measure(subject) {
  let counts;
  try {
    counts = await subject.run();
  } catch (error) {
    const lines = (error.stderr || error.message).trim().split('\n');
    const reason = lines.find((line) => /error/i.test(line)) ?? lines.at(-1);
    console.log(`${subject.work}, ${subject.name}: not measured (${reason})`);
    subject.failed = true;
    return;
  }
  subject.samples.push(subjects.checked(counts, subject.shares));
}

function print(all) {
  console.log('\nCPU time of the lcore per packet, medians; Mpps by the clock on the wall');
  for (const { work, burst, name, samples } of all.filter(({ failed }) => !failed)) {
    const of = (key) => median(samples.map((sample) => sample[key]));
    const cells = [
      work.padEnd(12),
      `burst ${burst}`.padEnd(9),
      name.padEnd(26),
      `${of('nsPerPacket').toFixed(2)} ns`.padStart(9),
      `${of('mpps').toFixed(1)} Mpps`.padStart(9),
    ];
    console.log(cells.join('  '));
  }
}

function save(all) {
  const file = subjects.fileOf('dpdk');
  mkdirSync(dirname(file), { recursive: true });
  const machine = { kernel: release(), cpu: cpus()[0]?.model, load: loadavg() };
  const setup = { hugepages: subjects.HUGEPAGES, turns: TURNS };
  const rows = all.map(({ work, burst, name, samples }) => ({ work, burst, name, samples }));
  const commands = all.map(({ command }) => subjects.commandText(command));
  const text = JSON.stringify({ unit: 'ns of CPU per packet', machine, setup, commands, rows });
  writeFileSync(file, `${text}\n`);
  console.log(`raw samples: ${file}; \`npm run docs\` puts them into docs/performance.md`);
}

async function main(folder) {
  subjects.checkHugepages();
  const all = subjectsOf(folder);
  console.log(all.map(({ command }) => subjects.commandText(command)).join('\n'));
  console.log(
    `hugepages: ${subjects.HUGEPAGES ? 'yes' : 'no'}; fast free: neither net_null nor net_pcap ` +
      'has it; each keeps 256 mbufs per lcore in a cache.',
  );
  for (const subject of all) subject.samples = [];
  for (let turn = 0; turn < TURNS; turn++) {
    for (const subject of all) if (!subject.failed) await measure(subject);
  }
  print(all);
  const failed = all.filter(({ failed }) => failed).length;
  // A file with less in it would take the rest out of the tables.
  if (failed > 0) console.log(`not saved: ${failed} of ${all.length} were not measured`);
  else if (WORKS === undefined) save(all);
}

if (spawnSync('dpdk-testpmd', ['--version'], { stdio: 'ignore' }).error) {
  console.log('dpdk-testpmd is not there: apt-get install dpdk-dev libdpdk-dev clang');
} else {
  const folder = mkdtempSync(join(tmpdir(), 'wirelet-dpdk-'));
  try {
    await main(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
