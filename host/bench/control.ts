/**
 * How long the control plane takes: compiling, loading, reading statistics. Nothing here is on the
 * packets' path.
 *
 *   npm run bench:control     raw samples go to bench/results/control-<time>.json
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Bench, type Task } from 'tinybench';
import { createAppliance } from '../dist/appliance.js';
import { checkProgram } from '../dist/check.js';
import { Cache } from '../dist/compile/cache.js';
import { compileProgram } from '../dist/compile/compile.js';
import { Compiler, closeCompiler } from '../dist/compile/compiler.js';
import { loadProgram } from '../dist/program.js';
import { tableText } from '../dist/terminal/table.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const RESULTS = join(ROOT, 'bench/results');
const PROGRAM = join(ROOT, 'programs/dnsguard');

const bench = new Bench({
  time: 500,
  iterations: 5,
  warmupTime: 0,
  warmupIterations: 1,
  retainSamples: true,
});
const folder = mkdtempSync(join(tmpdir(), 'wirelet-bench-'));
const cache = new Cache(folder);
const appliance = await createAppliance({
  lcores: 1,
  ports: { in: 'gen:?rate=100k', out: 'sink:' },
  forward: { in: 'out' },
  programs: { dnsguard: PROGRAM, count: join(ROOT, 'programs/count') },
});
const program = await loadProgram(PROGRAM);
appliance.start();

bench
  .add('compile, cold', async () => {
    const compiler = new Compiler();
    await compileProgram(PROGRAM, { cache: false, compiler });
    await compiler.close();
  })
  .add('compile, warm', () => compileProgram(PROGRAM, { cache: false }))
  .add('compile, cached', () => compileProgram(PROGRAM, { cache }))
  .add('load: check and instantiate', () => checkProgram(program))
  .add('read stats, 1 lcore, 2 ports, 2 programs', () => appliance.stats())
  .add('read counters', () => appliance.counters());

await bench.run();
await appliance.stop();
await closeCompiler();
rmSync(folder, { recursive: true });
process.stdout.write(`${tableText(columns(), bench.tasks.map(row))}\n${writeResults()}\n`);

function columns() {
  const right = (title: string) => ({ title, align: 'right' as const });
  return [{ title: 'what' }, right('median ms'), right('p99 ms'), right('samples')];
}

function row(task: Task): string[] {
  const { result } = task;
  if (result.state !== 'completed') return [task.name, result.state, '', ''];
  const { p50, p99, samplesCount } = result.latency;
  return [task.name, p50.toFixed(4), p99.toFixed(4), String(samplesCount)];
}

function writeResults(): string {
  const time = new Date().toISOString();
  const file = join(RESULTS, `control-${time.replaceAll(/[:.]/g, '-')}.json`);
  const tasks = bench.tasks.map(({ name, result }) => ({
    name,
    samplesMs: result.state === 'completed' ? result.latency.samples : [],
  }));
  const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, linux: release() };
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(file, `${JSON.stringify({ time, node: process.version, ...machine, tasks })}\n`);
  return file;
}
