/** What has to be on the machine before anything can be built, and how to get it. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

const NODE_MIN = [20, 19];
const RUST_MIN = [1, 95];
const RUSTUP = "curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y";

/** Ends the process with one clear sentence when this Node can't run us. */
export function requireNode() {
  stopOn(system() ?? node());
}

/** The same for what builds; asked only when there is something to build. */
export function requireTools() {
  stopOn(npm() ?? rust() ?? linker());
}

function stopOn(problem) {
  if (problem === undefined) return;
  process.stderr.write(`setup: ${problem}\n`);
  process.exit(1);
}

function system() {
  if (process.platform === 'linux') return undefined;
  const guest =
    process.platform === 'win32' ? 'WSL 2 (`wsl --install`)' : 'a Linux VM or container';
  return `Wirelet runs on Linux only, and this is ${process.platform}: use ${guest}.`;
}

function node() {
  const found = process.versions.node;
  if (atLeast(found, NODE_MIN)) return undefined;
  return `Node.js >= ${NODE_MIN.join('.')} is needed, and this is ${found}: ${nodeCommand()}`;
}

function npm() {
  if (versionOf('npm') !== undefined) return undefined;
  return `npm is needed and not on the PATH: ${nodeCommand()}`;
}

function rust() {
  useCargoHome();
  const min = RUST_MIN.join('.');
  for (const tool of ['rustc', 'cargo']) {
    const found = versionOf(tool);
    if (found === undefined) {
      return `Rust >= ${min} is needed, and \`${tool} --version\` does not run: ${rustCommand()}`;
    }
    if (!atLeast(found, RUST_MIN)) {
      return `Rust >= ${min} is needed, and ${tool} is ${found}: ${rustCommand()}`;
    }
  }
  return undefined;
}

/** rustup installs where new shells look for it; this one may be older. */
function useCargoHome() {
  const bin = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'bin');
  const path = process.env.PATH ?? '';
  if (!existsSync(join(bin, 'cargo')) || path.split(delimiter).includes(bin)) return;
  process.env.PATH = `${path}${delimiter}${bin}`;
}

/** Links an empty program: a compiler without the C library's files passes `cc --version`. */
function linker() {
  const options = ['-x', 'c', '-', '-o', '/dev/null'];
  try {
    execFileSync('cc', options, { input: 'int main(void) { return 0; }\n', stdio: 'pipe' });
    return undefined;
  } catch {
    return `a C linker is needed, and \`cc\` does not link a program: ${linkerCommand()}`;
  }
}

/** `1.95.0` of `rustc 1.95.0 (...)`; undefined when the command does not run. */
function versionOf(command) {
  try {
    const output = execFileSync(command, ['--version'], { encoding: 'utf8', stdio: 'pipe' });
    return /\d+\.\d+(\.\d+)?/.exec(output)?.[0];
  } catch {
    return undefined;
  }
}

export function atLeast(version, [major, minor]) {
  const [foundMajor, foundMinor] = version.split('.').map(Number);
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}

function nodeCommand() {
  const sudo = sudoPrefix();
  const source = (family) =>
    `curl -fsSL https://${family}.nodesource.com/setup_22.x | ${sudo}bash -`;
  switch (distribution()) {
    case 'debian':
      return `${source('deb')} && ${sudo}apt-get install -y nodejs`;
    case 'fedora':
      return `${sudo}dnf install -y nodejs npm`;
    case 'arch':
      return `${sudo}pacman -S --needed nodejs npm`;
    default:
      return 'install it from https://nodejs.org/en/download';
  }
}

function rustCommand() {
  return versionOf('rustup') === undefined
    ? RUSTUP
    : 'rustup update stable && rustup default stable';
}

function linkerCommand() {
  const sudo = sudoPrefix();
  switch (distribution()) {
    case 'debian':
      return `${sudo}apt-get install -y build-essential`;
    case 'fedora':
      return `${sudo}dnf install -y gcc`;
    case 'arch':
      return `${sudo}pacman -S --needed base-devel`;
    case 'alpine':
      return `${sudo}apk add build-base`;
    default:
      return "install your distribution's package of gcc and the C library's headers";
  }
}

function sudoPrefix() {
  return process.getuid?.() === 0 ? '' : 'sudo ';
}

/** The family that the package manager belongs to, of os-release(5). */
function distribution() {
  if (!existsSync('/etc/os-release')) return undefined;
  const text = readFileSync('/etc/os-release', 'utf8');
  const names = [...text.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)"?$/gm)].flatMap((match) =>
    match[1].split(' '),
  );
  return ['debian', 'fedora', 'arch', 'alpine'].find((family) => names.includes(family));
}
