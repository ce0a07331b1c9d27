/** A machine that has everything, and configs for it. */
import { resolveConfig } from '../../src/config/resolve.js';
import type { WireletConfig } from '../../src/config/schema.js';
import type { Check } from '../../src/doctor/check.js';
import { diagnosisOf } from '../../src/doctor/doctor.js';
import type { Facts, Nic } from '../../src/doctor/facts.js';
import { type Needs, needsOf } from '../../src/doctor/needs.js';
import type { NativeInterface } from '../../src/native-machine.js';

const GIB = 2 ** 30;

export function someInterface(given: Partial<NativeInterface>): NativeInterface {
  return {
    name: 'eth0',
    present: true,
    ethernet: true,
    up: true,
    mtu: 1500,
    driver: 'ice',
    kind: '',
    xdpFeatures: 0b1111,
    xdpProgram: 0,
    rxRing: 4096,
    rxRingMax: 8192,
    txRing: 4096,
    txRingMax: 8192,
    rxQueues: 4,
    ...given,
  };
}

export function someNic(given: Partial<Nic>): Nic {
  const nic = { address: '0000:01:00.0', id: '8086:10d3', driver: 'vfio-pci', group: '4' };
  return { ...nic, vfio: 'usable', ...given };
}

export function someFacts(given: Partial<Facts> = {}): Facts {
  const folder = { exists: true, writable: true, open: false, memory: true, freeBytes: GIB };
  return {
    kernel: '6.18.0',
    support: { afXdp: 'yes', afPacket: 'yes', memfd: 'yes' },
    capabilities: ['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_BPF', 'CAP_IPC_LOCK'],
    lockedBytesMax: 8 * 2 ** 20,
    mappingsMax: 65_530,
    availableBytes: 8 * GIB,
    hugepages: [{ bytes: 2 * 2 ** 20, total: 512, free: 512, nodes: [{ node: 0, free: 512 }] }],
    sharedMemory: { path: '/dev/shm', ...folder },
    state: undefined,
    socket: { path: '/run/wirelet', ...folder },
    cpus: [0, 1, 2, 3],
    isolatedCpus: [],
    numa: { nodes: [{ node: 0, cpus: [0, 1, 2, 3] }], ports: [] },
    governors: ['performance'],
    tun: 'usable',
    interfaces: [someInterface({})],
    nics: [someNic({})],
    iommu: true,
    libraries: {
      libpcap: '/lib/libpcap.so.0.8',
      libdpdk: '/lib/librte_eal.so.23',
      dpdkPlugin: '/w.so',
      dpdkWanted: 'librte_eal.so.23',
      dpdkFound: '/lib/librte_eal.so.23',
    },
    ...given,
  };
}

export function someNeeds(config: Partial<WireletConfig>): Needs {
  const ports = { in: 'null:' };
  return needsOf(resolveConfig({ ports, ...config }, { directory: '/tmp', env: {} }));
}

/** What is not as it should be, by name. */
export function complaints(facts: Partial<Facts>, config?: Partial<WireletConfig>): Check[] {
  const needs = config && someNeeds(config);
  return diagnosisOf(someFacts(facts), needs).checks.filter(({ state }) => state !== 'ok');
}
