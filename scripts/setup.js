/**
 * From a clone to something that runs: `npm run setup`. Plain Node without packages, because
 * there are none yet. A step with nothing new is skipped by a fingerprint of what it is made
 * from, so a second run ends within a second.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.js';
import { requireNode, requireTools } from './prerequisites.js';
import { run, runAndKeep, seconds, step } from './run.js';
import { fingerprint, isFresh, remember } from './stamp.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const STAMPS = join(ROOT, 'build/stamps.json');

/** Version of the libdpdk that the plugin is built against; undefined where there is none. */
const DPDK = dpdkVersion();

/** In this order. The host does not need the addon to be built, only to run. */
const PARTS = [
  {
    name: 'addon (Rust; the first time builds wasmtime, which takes minutes)',
    inputs: ['native', 'drivers', 'Cargo.toml', 'Cargo.lock', '.cargo', 'scripts/setup.js'],
    output: 'host/wirelet.node',
    make: makeAddon,
  },
  {
    name: 'host (TypeScript)',
    inputs: ['host/src', 'host/tsconfig.json', 'host/package.json', 'package-lock.json'],
    output: 'host/dist/cli.js',
    make: () => run(process.execPath, [bin('typescript/bin/tsc'), '-p', 'host'], { cwd: ROOT }),
  },
  {
    name: `dpdk plugin (C, libdpdk ${DPDK})`,
    // Without it, `dpdk:` ports are a coded error and all the rest works.
    wanted: DPDK !== undefined,
    inputs: ['drivers/dpdk', 'native/abi', 'Cargo.toml', 'Cargo.lock', 'scripts/setup.js'],
    output: 'host/wirelet-dpdk.so',
    make: makePlugin,
  },
].filter(({ wanted = true }) => wanted);

async function setUp() {
  const started = performance.now();
  requireNode();
  if (isInstalled() && PARTS.every(isBuilt)) return;
  requireTools();
  await withLock(join(ROOT, 'build/setup.lock'), async () => {
    if (!isInstalled()) await installPackages();
    for (const part of PARTS) if (!isBuilt(part)) await build(part);
  });
  process.stderr.write(`setup: all done in ${seconds(started)}\n`);
}

function isBuilt({ inputs, output }) {
  if (!existsSync(join(ROOT, output))) return false;
  return isFresh(STAMPS, output, `${inputPrint(inputs)} ${fingerprint(ROOT, [output])}`);
}

async function build({ name, inputs, output, make }) {
  // Taken before, so that an edit during the step makes the next run do it again.
  const before = inputPrint(inputs);
  await step(name, make);
  remember(STAMPS, output, `${before} ${fingerprint(ROOT, [output])}`);
}

function inputPrint(inputs) {
  // The words are what changes the result without changing a file.
  const { CARGO_TARGET_DIR = '', RUSTFLAGS = '' } = process.env;
  return fingerprint(ROOT, inputs, [process.version, CARGO_TARGET_DIR, RUSTFLAGS, DPDK ?? '']);
}

function dpdkVersion() {
  const { PKG_CONFIG = 'pkg-config' } = process.env;
  const asked = spawnSync(PKG_CONFIG, ['--modversion', 'libdpdk'], { encoding: 'utf8' });
  return asked.status === 0 ? asked.stdout.trim() : undefined;
}

/** napi runs cargo, which is the judge of what is stale, and puts the result in its place. */
async function makeAddon() {
  const cli = bin('@napi-rs/cli/dist/cli.js');
  const options = ['--release', '--package', 'wirelet-node', '--output-dir', 'host'];
  const types = ['--dts', '../build/addon.d.ts'];
  await run(process.execPath, [cli, 'build', ...options, ...types], { cwd: ROOT });
}

/** A library of its own, beside the addon, which opens it when a `dpdk` port asks for it. */
async function makePlugin() {
  const args = ['build', '--release', '--package', 'wirelet-dpdk', '--message-format=json'];
  const { status, output } = await runAndKeep('cargo', args, { cwd: ROOT, silent: true });
  if (status !== 0) throw new Error(`\`cargo ${args.join(' ')}\` ended with ${status}`);
  const messages = output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map(JSON.parse);
  const files = messages.flatMap(({ filenames = [] }) => filenames);
  const built = files.find((file) => basename(file) === 'libwirelet_dpdk.so');
  if (built === undefined) throw new Error('cargo names no libwirelet_dpdk.so');
  // Renamed into place: a process may have the old one open.
  const place = join(ROOT, 'host/wirelet-dpdk.so');
  copyFileSync(built, `${place}.new`);
  renameSync(`${place}.new`, place);
}

async function installPackages() {
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  await step('npm packages', () => run('npm', ['ci', ...quiet], { cwd: ROOT }));
  // A new tree may hold another TypeScript or another napi.
  rmSync(STAMPS, { force: true });
}

/** Whether node_modules holds what package-lock.json says, by npm's own record of the tree. */
function isInstalled() {
  const record = join(ROOT, 'node_modules/.package-lock.json');
  if (!existsSync(record)) return false;
  const wanted = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).packages;
  const found = JSON.parse(readFileSync(record, 'utf8')).packages;
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    // The root itself, and packages for other systems.
    if (path === '' || optional) return true;
    return found[path]?.version === version && found[path]?.integrity === integrity;
  });
}

function bin(path) {
  return join(ROOT, 'node_modules', path);
}

try {
  await setUp();
} catch (error) {
  process.stderr.write(`setup: failed: ${error.message}\n`);
  process.exitCode = 1;
}
