// What the lab needs and nobody has installed: QEMU, a kernel, busybox, cpio. Debian's packages are
// downloaded and unpacked into a folder of ours; nothing is installed.
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

const PACKAGES = ['qemu-system-x86', 'busybox-static', 'cpio'];
const KERNEL = 'linux-image-cloud-amd64';
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const DONE = 'unpacked';
/**
 * For vfio-pci and uio, and for DPDK's tap: the tap, what carries out its rules, VLANs on it. In
 * the order in which they are loaded; some may be built in.
 */
export const MODULES = [
  'irqbypass',
  'vfio_virqfd',
  'vfio',
  'vfio_iommu_type1',
  'vfio-pci-core',
  'vfio-pci',
  'uio',
  'uio_pci_generic',
  'tun',
  ...['sch_ingress', 'sch_multiq', 'cls_flower', 'cls_bpf'],
  ...['act_gact', 'act_skbedit', 'act_mirred', 'act_bpf'],
  ...['llc', 'stp', 'garp', 'mrp', '8021q'],
];

const run = (command, args, options = {}) =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });

/** Folder of the unpacked packages: `host`, with QEMU and the tools, and `kernel`. */
export function preparePackages(folder) {
  const paths = { host: join(folder, 'host'), kernel: join(folder, 'kernel') };
  if (existsSync(join(folder, DONE))) return paths;
  const [apt, archives] = [join(folder, 'apt'), join(folder, 'archives')];
  // What an earlier run left is of other versions.
  for (const path of [apt, archives, ...Object.values(paths)]) {
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { recursive: true });
  }
  const { options, release } = readPackageLists(apt);
  const only = ['--no-install-recommends', '--download-only', '-o', `Dir::Cache=${apt}`];
  // Those that are installed, too: what is unpacked must be complete.
  const install = ['install', '--reinstall', '-y', '-qq', ...release, ...only];
  run('apt-get', [...options, ...install, '-o', `Dir::Cache::archives=${archives}`, ...PACKAGES]);
  unpack(archives, '', paths.host);
  const depends = run('apt-cache', [...options, 'depends', KERNEL]);
  const [, image] = /Depends: (linux-image-\S+)/.exec(depends) ?? [];
  if (!image) throw new Error(`${KERNEL} depends on no image`);
  run('apt-get', [...options, 'download', '-qq', image], { cwd: archives });
  unpack(archives, 'linux-image', paths.kernel);
  writeFileSync(join(folder, DONE), '');
  return paths;
}

function unpack(archives, prefix, folder) {
  const names = readdirSync(archives).filter((name) => name.endsWith('.deb'));
  for (const name of names.filter((each) => each.startsWith(prefix))) {
    run('dpkg', ['-x', join(archives, name), folder]);
  }
}

/**
 * Reads the lists of this machine's sources and of Debian's backports into a folder of ours: QEMU
 * has igb since 8.0, and Debian 12 has 7.2. Where there are no backports, this machine's alone.
 */
function readPackageLists(folder) {
  const [sources, lists] = [join(folder, 'sources'), join(folder, 'lists')];
  for (const path of [sources, join(lists, 'partial')]) mkdirSync(path, { recursive: true });
  const options = ['-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Etc::SourceParts=${sources}`];
  const system = '/etc/apt/sources.list.d';
  for (const name of existsSync(system) ? readdirSync(system) : []) {
    copyFileSync(join(system, name), join(sources, name));
  }
  const [, codename] =
    /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8')) ?? [];
  const format = '$(CODENAME) $(REPO_URI)';
  const targets = run('apt-get', ['indextargets', '--format', format]).split('\n');
  const [, uri] = targets.find((line) => line.startsWith(`${codename} `))?.split(' ') ?? [];
  const backports = join(sources, 'lab-backports.list');
  writeFileSync(backports, `deb [signed-by=${KEYRING}] ${uri} ${codename}-backports main\n`);
  try {
    run('apt-get', [...options, 'update', '-qq', '-o', 'APT::Update::Error-Mode=any']);
    return { options, release: ['-t', `${codename}-backports`] };
  } catch {
    rmSync(backports);
    run('apt-get', [...options, 'update', '-qq']);
    return { options, release: [] };
  }
}

/** The kernel's file. */
export function kernelOf({ kernel }) {
  const boot = join(kernel, 'boot');
  const [name] = readdirSync(boot).filter((each) => each.startsWith('vmlinuz'));
  if (!name) throw new Error(`no kernel in ${boot}`);
  return join(boot, name);
}

/** Words that start a program of the unpacked packages, with the libraries beside it. */
export function hostTool({ host }, path) {
  const libraries = ['usr/lib', 'lib'].map((each) => join(host, each, 'x86_64-linux-gnu'));
  return ['env', `LD_LIBRARY_PATH=${libraries.join(':')}`, join(host, path)];
}

/** Whether the unpacked QEMU emulates a device. */
export function emulates(packages, device) {
  const [command, ...args] = hostTool(packages, 'usr/bin/qemu-system-x86_64');
  return run(command, [...args, '-device', 'help']).includes(`name "${device}"`);
}
