/**
 * `npm test`: both runners, then their own closing lines and the sum. With arguments, only vitest,
 * which gets them: `npm test -- programs/dnsguard`.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requireTools } from './prerequisites.js';
import { runAndKeep } from './run.js';
import { readCargo, readVitest, summary } from './summary.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const VITEST_REPORT = join(ROOT, 'build/vitest.json');
/** The closing lines, for who prints them again (.ci/run). */
const SUMMARY = join(ROOT, 'build/test-summary.txt');

async function main(filters) {
  mkdirSync(join(ROOT, 'build'), { recursive: true });
  for (const file of [SUMMARY, VITEST_REPORT]) rmSync(file, { force: true });
  const runs = filters.length > 0 ? [] : [await cargoTest()];
  runs.push(await vitest(filters));
  const text = summary(runs);
  writeFileSync(SUMMARY, text);
  process.stdout.write(`\n${text}`);
  return runs.every((run) => run.ok) ? 0 : 1;
}

async function cargoTest() {
  requireTools();
  const args = ['test', '--release', '--workspace', '--no-fail-fast'];
  const { status, output } = await runAndKeep('cargo', args, { cwd: ROOT });
  return { ...readCargo(output), ...outcome('cargo test', status) };
}

async function vitest(filters) {
  const cli = join(ROOT, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile=${VITEST_REPORT}`];
  // It writes to us, so it can't see whether there is a terminal.
  const color = process.stdout.isTTY ? '--color' : '--no-color';
  const args = [cli, 'run', color, ...reporters, ...filters];
  const { status, output } = await runAndKeep(process.execPath, args, { cwd: ROOT });
  return { ...readVitest(output, VITEST_REPORT), ...outcome('vitest', status) };
}

function outcome(name, status) {
  return { name, ok: status === 0, ended: status === 0 ? '' : `${name} ended with ${status}` };
}

process.exitCode = await main(process.argv.slice(2));
