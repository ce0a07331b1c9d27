// `npm run bench:tables`: lookups of programs beside native code's, in turn, medians. Raw samples
// go to bench/results/tables.json.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileProgram } from '../../host/dist/compile/compile.js';
import { closeCompiler } from '../../host/dist/compile/compiler.js';
import { encodeSettings } from '../../host/dist/settings.js';
import { median } from '../../scripts/median.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '../..');
const TURNS = Number(process.env.WIRELET_BENCH_TURNS ?? 5);
const SAMPLES_PER_TURN = 31;
const PROGRAMS = ['numbers', 'flows', 'routes'];
/** Of the keys in a table; 0 for programs that have no such setting. */
const BITS = [0, 10, 16, 20];
/** What rte_lpm calls the rows that native/engine/examples/lookups names. */
const LPM_ROWS = { 32: 'IPv4 LPM, any address', 11: 'IPv4 LPM, 2,048 addresses' };

async function prepare(folder) {
  for (const name of PROGRAMS) {
    const { wasm } = await compileProgram(join(HERE, name), { cache: false });
    writeFileSync(join(folder, `${name}.wasm`), wasm);
  }
  await closeCompiler();
  for (const bits of BITS) {
    writeFileSync(join(folder, `settings-${bits}`), encodeSettings({ bits }));
  }
}

/** Cargo's path of the example, built with the features that everything else here has. */
function buildLookups() {
  const packages = ['-p', 'wirelet-engine', '-p', 'wirelet-node'];
  const command = ['build', '--release', ...packages, '--example', 'lookups'];
  const text = execFileSync('cargo', [...command, '--message-format', 'json'], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  const built = text.split('\n').filter(Boolean).map(JSON.parse);
  return built.find((each) => each.target?.name === 'lookups' && each.executable).executable;
}

/** Undefined, with the reason, where there is no DPDK. */
function buildRteLpm(folder) {
  const program = join(folder, 'rte_lpm');
  try {
    const flags = execFileSync('pkg-config', ['--cflags', '--libs', 'libdpdk'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const source = join(HERE, 'rte_lpm.c');
    const options = ['-O3', '-march=native', source, '-o', program];
    execFileSync('cc', [...options, ...flags.trim().split(/\s+/)], { stdio: 'pipe' });
    return program;
  } catch (error) {
    console.log(`rte_lpm: not measured (${error.message.split('\n')[0]})`);
    return undefined;
  }
}

function turn(folder, lookups, rteLpm, rows) {
  const rowOf = (name, entries) => {
    const key = `${name}, ${entries}`;
    const row = rows.get(key) ?? { name, entries, wasm: [], native: [], rteLpm: [] };
    rows.set(key, row);
    return row;
  };
  const text = execFileSync(lookups, [folder, String(SAMPLES_PER_TURN)], { encoding: 'utf8' });
  for (const line of text.split('\n').filter(Boolean)) {
    const { name, entries, wasm, native } = JSON.parse(line);
    const row = rowOf(name, entries);
    row.wasm.push(...wasm);
    row.native.push(...native);
  }
  if (!rteLpm) return;
  const prefixes = join(folder, 'prefixes');
  const entries = readFileSync(prefixes, 'utf8').split('\n').length - 1;
  const samples = execFileSync(rteLpm, [prefixes, String(SAMPLES_PER_TURN)], { encoding: 'utf8' });
  for (const line of samples.split('\n').filter(Boolean)) {
    const [bits, ns] = line.split(' ');
    rowOf(LPM_ROWS[bits], entries).rteLpm.push(Number(ns));
  }
}

function print(rows) {
  console.log('ns per lookup, medians; native: hashbrown, DIR-24-8');
  const titles = ['lookup', 'entries', 'wasm', 'native', 'wasm/native', 'rte_lpm'];
  const cells = rows.map(({ name, entries, wasm, native, rteLpm }) => [
    name,
    entries.toLocaleString('en'),
    median(wasm).toFixed(2),
    median(native).toFixed(2),
    (median(wasm) / median(native)).toFixed(2),
    rteLpm.length > 0 ? median(rteLpm).toFixed(2) : '-',
  ]);
  const widths = titles.map((title, i) =>
    Math.max(title.length, ...cells.map((row) => row[i].length)),
  );
  for (const row of [titles, ...cells]) {
    const shown = row.map((cell, i) =>
      i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]),
    );
    console.log(shown.join('  '));
  }
}

const folder = mkdtempSync(join(tmpdir(), 'wirelet-tables-'));
try {
  await prepare(folder);
  const lookups = buildLookups();
  const rteLpm = buildRteLpm(folder);
  const rows = new Map();
  for (let count = 0; count < TURNS; count++) turn(folder, lookups, rteLpm, rows);
  print([...rows.values()]);
  const results = join(ROOT, 'bench/results');
  mkdirSync(results, { recursive: true });
  const text = JSON.stringify({ unit: 'ns/lookup', rows: [...rows.values()] });
  writeFileSync(join(results, 'tables.json'), `${text}\n`);
  console.log('raw samples: bench/results/tables.json');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
