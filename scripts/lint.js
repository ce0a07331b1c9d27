/** `npm run lint`: every check that runs nothing of ours. All are run; any failure fails. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requireTools } from './prerequisites.js';
import { run, seconds } from './run.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Of the folders with TypeScript in them, each with the globals that its code really has. */
const PROJECTS = ['host', 'host/test', 'runtime', 'programs', 'programs/testing', 'test'];
const CLIPPY = ['clippy', '--release', '--workspace', '--all-targets', '--', '-D', 'warnings'];

const CHECKS = [
  ['format and lint of TypeScript', process.execPath, [bin('@biomejs/biome/bin/biome'), 'ci']],
  ...PROJECTS.map((project) => [
    `types of ${project}`,
    process.execPath,
    [bin('typescript/bin/tsc'), '--noEmit', '-p', project],
  ]),
  ['format of Rust', 'cargo', ['fmt', '--all', '--check']],
  ['clippy', 'cargo', CLIPPY],
];

function bin(path) {
  return join(ROOT, 'node_modules', path);
}

requireTools();
const failed = [];
for (const [name, command, args] of CHECKS) {
  const started = performance.now();
  try {
    await run(command, args, { cwd: ROOT });
    process.stdout.write(`lint: ${name}: ok, ${seconds(started)}\n`);
  } catch (error) {
    failed.push(name);
    process.stdout.write(`lint: ${name}: FAILED: ${error.message}\n`);
  }
}
process.stdout.write(failed.length === 0 ? 'lint: ok\n' : `lint: failed: ${failed.join(', ')}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
