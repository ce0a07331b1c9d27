/** What `wirelet doctor` knows of the machine. Reading it changes nothing. */
import {
  accessSync,
  constants,
  readdirSync,
  readFileSync,
  readlinkSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { release } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { native } from '../native.js';
import type { NativeInterface, NativeKernel } from '../native-machine.js';
import type { Needs } from './needs.js';

/** Capabilities that devices need, with their bits (linux/capability.h). */
export const CAPABILITIES = {
  CAP_NET_ADMIN: 12,
  CAP_NET_RAW: 13,
  CAP_IPC_LOCK: 14,
  CAP_SYS_ADMIN: 21,
  CAP_BPF: 39,
} as const;
export type Capability = keyof typeof CAPABILITIES;

const SHARED_MEMORY = '/dev/shm';
/** statfs(2): file systems whose files are memory. */
const MEMORY_FILE_SYSTEMS = [0x01021994, 0x858458f6, 0x958458f6];
const LIBRARY_FOLDERS = ['/lib', '/usr/lib', '/usr/local/lib', '/lib64', '/usr/lib64'];

export interface Hugepages {
  bytes: number;
  total: number;
  free: number;
  /** Free ones, by NUMA node. */
  nodes: { node: number; free: number }[];
}

/** A network controller on the PCI bus, which the kernel may or may not have as an interface. */
export interface Nic {
  /** `0000:01:00.0` */
  address: string;
  /** Vendor and device, `8086:10d3`. */
  id: string;
  /** The kernel's driver that it is bound to; '' for none. */
  driver: string;
  /** Number of its IOMMU group; '' without an IOMMU. */
  group: string;
  /** /dev/vfio/GROUP, which `vfio-pci` makes. */
  vfio: Access;
}

/** A device file. */
export type Access = 'usable' | 'denied' | 'missing';

/** A folder, or the nearest one above it that is there. */
export interface FolderFacts {
  path: string;
  exists: boolean;
  /** Of the folder, or of the one that it would be made in. */
  writable: boolean;
  /** Anybody may remove and replace files of others in it. */
  open: boolean;
  /** Files in it are memory (tmpfs, hugetlbfs). */
  memory: boolean;
  freeBytes: number;
}

export interface Facts {
  /** As `uname -r` says it. */
  kernel: string;
  support: NativeKernel;
  capabilities: Capability[];
  /** RLIMIT_MEMLOCK; Infinity for none. */
  lockedBytesMax: number;
  /** vm.max_map_count. */
  mappingsMax: number;
  availableBytes: number;
  hugepages: Hugepages[];
  sharedMemory: FolderFacts;
  /** Of the config, if it keeps state. */
  state: FolderFacts | undefined;
  /** Folder of the control socket; undefined without a socket. */
  socket: FolderFacts | undefined;
  /** CPUs that this process may use. */
  cpus: number[];
  isolatedCpus: number[];
  numa: {
    nodes: { node: number; cpus: number[] }[];
    /** NICs of ports whose node is known. */
    ports: { port: string; node: number }[];
  };
  /** Of the CPUs that have one. */
  governors: string[];
  /** /dev/net/tun. */
  tun: Access;
  interfaces: NativeInterface[];
  nics: Nic[];
  /** The kernel translates addresses of devices. */
  iommu: boolean;
  /** Paths of shared libraries; undefined for those that are not installed. */
  libraries: {
    libpcap: string | undefined;
    libdpdk: string | undefined;
    /** Our own, which `setup` builds where libdpdk-dev is. */
    dpdkPlugin: string | undefined;
    /** Name of the one of DPDK's that the plugin is linked to, `librte_eal.so.23`. */
    dpdkWanted: string | undefined;
    /** Where that one is. */
    dpdkFound: string | undefined;
  };
}

/** Looks at the machine; at the interfaces that `needs` names, or at all. */
export function gatherFacts(needs: Needs | undefined, socketFolder: string | undefined): Facts {
  const binding = native();
  const status = fields('/proc/self/status');
  const state = needs?.stateDirectory;
  const plugin = dpdkPlugin();
  const wanted = plugin && libraryOf(plugin);
  return {
    kernel: release(),
    support: binding.kernelFacts(),
    capabilities: capabilitiesOf(status.CapEff ?? '0'),
    lockedBytesMax: lockedBytesMax(read('/proc/self/limits')),
    mappingsMax: Number(read('/proc/sys/vm/max_map_count')),
    availableBytes: kilobytes(fields('/proc/meminfo').MemAvailable),
    hugepages: hugepages(),
    sharedMemory: folder(SHARED_MEMORY),
    state: state ? folder(state) : undefined,
    socket: socketFolder === undefined ? undefined : folder(socketFolder),
    cpus: cpuList(status.Cpus_allowed_list ?? ''),
    isolatedCpus: cpuList(read('/sys/devices/system/cpu/isolated')),
    numa: numa(needs),
    governors: governors(),
    tun: access('/dev/net/tun'),
    interfaces: binding.interfaceFacts(needs?.interfaces),
    nics: nics(),
    iommu: list('/sys/kernel/iommu_groups').length > 0,
    libraries: {
      libpcap: findLibrary('libpcap.so.'),
      libdpdk: findLibrary('librte_eal.so.'),
      dpdkPlugin: plugin,
      dpdkWanted: wanted,
      dpdkFound: wanted && findLibrary(wanted),
    },
  };
}

/** `0000000000003000` to names. */
export function capabilitiesOf(mask: string): Capability[] {
  const bits = BigInt(`0x${mask}`);
  const names = Object.keys(CAPABILITIES) as Capability[];
  return names.filter((name) => (bits >> BigInt(CAPABILITIES[name])) & 1n);
}

/** The soft limit of /proc/self/limits. */
export function lockedBytesMax(limits: string): number {
  const [, soft = ''] = /^Max locked memory\s+(\S+)/m.exec(limits) ?? [];
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}

/** `0-3,8` to numbers. */
export function cpuList(text: string): number[] {
  return text
    .trim()
    .split(',')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [first = 0, last = first] = part.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}

function hugepages(): Hugepages[] {
  const root = '/sys/kernel/mm/hugepages';
  return list(root).map((name) => {
    const number = (file: string) => Number(read(join(root, name, file)));
    const nodes = list('/sys/devices/system/node').flatMap((node) => {
      const [, index] = /^node(\d+)$/.exec(node) ?? [];
      const file = join('/sys/devices/system/node', node, 'hugepages', name, 'free_hugepages');
      return index === undefined ? [] : [{ node: Number(index), free: Number(read(file)) }];
    });
    const bytes = Number(/\d+/.exec(name)?.[0] ?? 0) * 1024;
    return { bytes, total: number('nr_hugepages'), free: number('free_hugepages'), nodes };
  });
}

function folder(path: string): FolderFacts {
  const existing = nearest(path);
  const { mode } = statSync(existing);
  const { type, bavail, bsize } = statfsSync(existing);
  const sticky = (mode & 0o1000) !== 0;
  return {
    path,
    exists: existing === path,
    writable: may(existing, constants.W_OK | constants.X_OK),
    open: existing === path && (mode & 0o002) !== 0 && !sticky,
    memory: MEMORY_FILE_SYSTEMS.includes(type),
    freeBytes: bavail * bsize,
  };
}

/** `path`, or the first folder above it that is there. */
function nearest(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false });
  return found?.isDirectory() || path === '/' ? path : nearest(dirname(path));
}

function numa(needs: Needs | undefined): Facts['numa'] {
  const devices = needs?.devices ?? [];
  const facts = native().numaFacts(devices.map(({ driver, target }) => `${driver}:${target}`));
  const ports = devices.map(({ port }, index) => ({ port, node: facts.devices[index] ?? -1 }));
  return { nodes: facts.nodes, ports: ports.filter(({ node }) => node >= 0) };
}

function governors(): string[] {
  const root = '/sys/devices/system/cpu';
  const cpus = list(root).filter((name) => /^cpu\d+$/.test(name));
  const found = cpus.map((cpu) => read(join(root, cpu, 'cpufreq/scaling_governor')).trim());
  return [...new Set(found.filter((governor) => governor !== ''))];
}

function access(path: string): Access {
  if (!may(path, constants.F_OK)) return 'missing';
  return may(path, constants.R_OK | constants.W_OK) ? 'usable' : 'denied';
}

/** Of the class of network controllers (PCI Code and ID Assignment, 1.3). */
function nics(): Nic[] {
  const root = '/sys/bus/pci/devices';
  return list(root)
    .filter((address) => read(join(root, address, 'class')).startsWith('0x02'))
    .map((address) => {
      const hex = (file: string) =>
        read(join(root, address, file))
          .trim()
          .replace('0x', '');
      const group = linkName(join(root, address, 'iommu_group'));
      return {
        address,
        id: `${hex('vendor')}:${hex('device')}`,
        driver: linkName(join(root, address, 'driver')),
        group,
        vfio: group === '' ? 'missing' : access(join('/dev/vfio', group)),
      };
    });
}

/** Last part of what a link points to; '' where there is none. */
function linkName(path: string): string {
  try {
    return basename(readlinkSync(path));
  } catch {
    return '';
  }
}

/** Beside the addon, or where the environment says (drivers/src/dpdk/plugin.rs). */
function dpdkPlugin(): string | undefined {
  const beside = fileURLToPath(new URL('../../wirelet-dpdk.so', import.meta.url));
  const path = process.env.WIRELET_DPDK_PLUGIN || beside;
  return may(path, constants.R_OK) ? path : undefined;
}

/** DPDK's base library as the plugin names it, in a string table of the ELF file. */
function libraryOf(plugin: string): string | undefined {
  return /librte_eal\.so\.\d+/.exec(readFileSync(plugin, 'latin1'))?.[0];
}

/** The first library whose name begins so, in the loader's folders and those below them. */
function findLibrary(stem: string): string | undefined {
  const given = (process.env.LD_LIBRARY_PATH ?? '').split(':').filter((path) => path !== '');
  const folders = [...given, ...LIBRARY_FOLDERS].flatMap((path) => [
    path,
    ...list(path)
      .filter((name) => name.endsWith('-linux-gnu') || name.endsWith('-linux-musl'))
      .map((name) => join(path, name)),
  ]);
  for (const path of folders) {
    const found = list(path).find((name) => name.startsWith(stem));
    if (found !== undefined) return join(path, found);
  }
  return undefined;
}

/** `Name: value` lines. */
function fields(path: string): Record<string, string> {
  const pairs = [...read(path).matchAll(/^(\w+):\s*(.*)$/gm)];
  return Object.fromEntries(pairs.map(([, name, value]) => [name, value]));
}

function kilobytes(text = ''): number {
  return Number.parseInt(text, 10) * 1024;
}

/** A file of the kernel's; '' where it is not there or not for us. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path).toSorted();
  } catch {
    return [];
  }
}

function may(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
