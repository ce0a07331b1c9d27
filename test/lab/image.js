// The lab's root file system: busybox, Node, this project as it was built, DPDK's drivers. Two
// archives of cpio, as the kernel takes them.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostTool, MODULES } from './packages.js';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '../..');
const TOOLS = ['sh', 'mount', 'insmod', 'mkdir', 'echo', 'cat', 'basename', 'readlink', 'poweroff'];
const APPLETS = [...TOOLS, 'ln', 'ls', 'grep', 'dmesg', 'sleep', 'ip', 'arp', 'vconfig'];
/** What `wirelet run` of a built program imports. */
const DEPENDENCIES = ['zod', 'commander', 'picocolors', 'jiti'];
/** DPDK's buses, the drivers of the NICs that QEMU emulates, and the one that has the kernel. */
const NET_DRIVERS = ['net_e1000', 'net_virtio', 'net_vmxnet3', 'net_tap'];
const DRIVERS = ['bus_pci', 'bus_vdev', 'mempool_ring', ...NET_DRIVERS];
const HOST_FILES = ['bin', 'dist', 'package.json', 'wirelet.node', 'wirelet-dpdk.so'];

/** Builds the archive and returns its path. */
export function buildImage(folder, packages) {
  const root = join(folder, 'root');
  rmSync(root, { recursive: true, force: true });
  for (const path of ['bin', 'proc', 'sys', 'dev', 'run', 'tmp', 'usr/bin', 'usr/lib', 'modules']) {
    mkdirSync(join(root, path), { recursive: true });
  }
  for (const [link, to] of [
    ['lib', 'usr/lib'],
    ['lib64', 'usr/lib'],
    ['var', 'run'],
  ]) {
    symlinkSync(to, join(root, link));
  }
  copyFileSync(join(packages.host, 'bin/busybox'), join(root, 'bin/busybox'));
  for (const applet of new Set(APPLETS)) symlinkSync('busybox', join(root, 'bin', applet));
  addModules(root, packages);
  addProgram(root, realpathSync(process.execPath), 'usr/bin/node');
  addProgram(
    root,
    execFileSync('sh', ['-c', 'command -v tc'], { encoding: 'utf8' }).trim(),
    'bin/tc',
  );
  addDrivers(root);
  addProject(root);
  copyFileSync(join(HERE, 'init.sh'), join(root, 'init'));
  execFileSync('chmod', ['755', join(root, 'init')]);
  const image = join(folder, 'root.cpio');
  const cpio = hostTool(packages, 'bin/cpio').join(' ');
  execFileSync('sh', ['-c', `find . | ${cpio} -o -H newc --quiet > '${image}'`], { cwd: root });
  return image;
}

function addModules(root, { kernel }) {
  const found = execFileSync('find', [kernel, '-name', '*.ko'], { encoding: 'utf8' })
    .trim()
    .split('\n');
  for (const path of found) {
    const name = basename(path, '.ko');
    if (MODULES.includes(name)) copyFileSync(path, join(root, 'modules', `${name}.ko`));
  }
  writeFileSync(join(root, 'modules/order'), `${MODULES.join('\n')}\n`);
}

/** A file, and every library that it is linked to. */
function addProgram(root, from, to) {
  mkdirSync(dirname(join(root, to)), { recursive: true });
  copyFileSync(from, join(root, to));
  const text = execFileSync('ldd', [from], { encoding: 'utf8' });
  for (const [, library] of text.matchAll(/(?:=> |^\s*)(\/\S+)/gm)) {
    // One folder for all: the loader looks there first, whatever the machine's layout is.
    const place = join(root, 'usr/lib', basename(library));
    if (!existsSync(place)) copyFileSync(realpathSync(library), place);
  }
}

function addDrivers(root) {
  const libraries = execFileSync('pkg-config', ['--variable=libdir', 'libdpdk'], {
    encoding: 'utf8',
  }).trim();
  const [version] = readdirSync(join(libraries, 'dpdk')).filter((each) => each.startsWith('pmds-'));
  if (!version) throw new Error(`no drivers in ${libraries}/dpdk`);
  const folder = join(libraries, 'dpdk', version);
  const place = folder.slice(1);
  for (const driver of DRIVERS) {
    const names = readdirSync(folder).filter((name) => name.startsWith(`librte_${driver}.so.`));
    const [name] = names.sort((a, b) => b.length - a.length);
    if (!name) throw new Error(`no ${driver} in ${folder}`);
    addProgram(root, join(folder, name), join(place, name));
    for (const other of names.filter((each) => each !== name)) {
      // The driver that a library links to and the one that EAL loads must be one file.
      rmSync(join(root, 'usr/lib', other), { force: true });
      symlinkSync(name, join(root, place, other));
      symlinkSync(join('/', place, name), join(root, 'usr/lib', other));
    }
  }
}

/** The command line as users have it, and the programs, built here. */
function addProject(root) {
  const host = join(root, 'wirelet/host');
  mkdirSync(host, { recursive: true });
  for (const name of HOST_FILES) {
    cpSync(join(ROOT, 'host', name), join(host, name), { recursive: true });
  }
  addProgram(root, join(ROOT, 'host/wirelet.node'), 'wirelet/host/wirelet.node');
  addProgram(root, join(ROOT, 'host/wirelet-dpdk.so'), 'wirelet/host/wirelet-dpdk.so');
  for (const name of DEPENDENCIES) {
    const from = join(ROOT, 'node_modules', name);
    cpSync(from, join(root, 'wirelet/node_modules', name), { recursive: true });
  }
  const programs = join(root, 'lab');
  mkdirSync(programs);
  const sources = [
    join(ROOT, 'programs/testpmd'),
    join(ROOT, 'programs/l2fwd'),
    join(HERE, 'where'),
  ];
  for (const source of sources) {
    const out = join(programs, `${basename(source)}.wasm`);
    const command = [join(ROOT, 'host/bin/wirelet.js'), 'build', source, '-o', out, '--quiet'];
    execFileSync(process.execPath, command, { stdio: ['ignore', 'pipe', 'inherit'] });
  }
  for (const name of ['guest.js', 'tap-guest.js']) {
    copyFileSync(join(HERE, name), join(programs, name));
  }
  writeFileSync(join(programs, 'package.json'), '{ "type": "module" }\n');
}
