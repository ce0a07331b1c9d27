// What the lab needs and nobody has installed: QEMU, a kernel, busybox, cpio. Debian's packages are
// downloaded and unpacked into a folder of ours; nothing is installed.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PACKAGES = ['qemu-system-x86', 'busybox-static', 'cpio'];
const KERNEL = 'linux-image-cloud-amd64';
const DONE = 'complete';
/** For vfio-pci, in the order in which they are loaded; a kernel may have some of them built in. */
export const MODULES = [
  'irqbypass',
  'vfio_virqfd',
  'vfio',
  'vfio_iommu_type1',
  'vfio-pci-core',
  'vfio-pci',
];

const run = (command, args, options = {}) =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });

/** Folder of the unpacked packages: `host`, with QEMU and the tools, and `kernel`. */
export function preparePackages(folder) {
  const paths = { host: join(folder, 'host'), kernel: join(folder, 'kernel') };
  if (existsSync(join(folder, DONE))) return paths;
  const archives = join(folder, 'archives');
  for (const path of [join(archives, 'partial'), paths.host, paths.kernel]) {
    mkdirSync(path, { recursive: true });
  }
  run('apt-get', ['update', '-qq']);
  const only = [
    '--no-install-recommends',
    '--download-only',
    '-o',
    `Dir::Cache::archives=${archives}`,
  ];
  // Those that are installed, too: what is unpacked must be complete.
  run('apt-get', ['install', '--reinstall', '-y', '-qq', ...only, ...PACKAGES]);
  for (const name of readdirSync(archives).filter((name) => name.endsWith('.deb'))) {
    run('dpkg', ['-x', join(archives, name), paths.host]);
  }
  const depends = run('apt-cache', ['depends', KERNEL]);
  const [, image] = /Depends: (linux-image-\S+)/.exec(depends) ?? [];
  if (!image) throw new Error(`${KERNEL} depends on no image`);
  run('apt-get', ['download', '-qq', image], { cwd: archives });
  for (const name of readdirSync(archives).filter((name) => name.startsWith('linux-image'))) {
    run('dpkg', ['-x', join(archives, name), paths.kernel]);
  }
  writeFileSync(join(folder, DONE), '');
  return paths;
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
