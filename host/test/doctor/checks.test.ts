import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ranges } from '../../src/doctor/checks/cpus.js';
import { atLeast } from '../../src/doctor/checks/kernel.js';
import { plannedMappings } from '../../src/doctor/checks/memory.js';
import { diagnosisOf } from '../../src/doctor/doctor.js';
import { capabilitiesOf, cpuList, lockedBytesMax } from '../../src/doctor/facts.js';
import { native } from '../../src/native.js';
import { complaints, someFacts, someInterface, someNeeds, someNic } from './facts.js';

const XDP = { ports: { lan: 'af_xdp:eth0' } };
const PACKET = { ports: { lan: 'fault(loss=1%):af_packet:eth0' } };
const TAP = { ports: { host: 'tap:wire0' } };

describe('a machine that has everything', () => {
  it.each([undefined, XDP, PACKET, TAP])('has no complaints about %j', (config) => {
    expect(complaints({}, config)).toEqual([]);
  });
});

describe('capabilities', () => {
  const without = { capabilities: [] };

  it('are missing only where the config needs them, behind wrappers too', () => {
    const missing = (config: object) =>
      complaints(without, config)
        .filter(({ name }) => name.startsWith('CAP_'))
        .map(({ name, state }) => `${name} ${state}`);
    expect(missing({})).toEqual([]);
    expect(missing(PACKET)).toEqual(['CAP_NET_RAW missing']);
    expect(missing(TAP)).toEqual(['CAP_NET_ADMIN missing']);
    const all = ['CAP_NET_RAW missing', 'CAP_NET_ADMIN missing', 'CAP_BPF missing'];
    expect(missing(XDP)).toEqual(all);
  });

  it('the command asks for those that are needed, and for no other', () => {
    const [raw] = complaints(without, PACKET);
    expect(raw).toMatchObject({ name: 'CAP_NET_RAW', found: 'no; needed by lan' });
    expect(raw?.fix).toContain('--ambient-caps=+net_raw wirelet run');
  });

  it('without a config they are only advice, and the machine is fine', () => {
    const diagnosis = diagnosisOf(someFacts(without), undefined);
    expect(diagnosis.ok).toBe(true);
    expect(diagnosis.checks.find(({ name }) => name === 'CAP_BPF')).toMatchObject({
      state: 'warning',
      found: 'no; for af_xdp',
    });
  });

  it('a tap that is there needs none, unless something of it is to be changed', () => {
    const facts = { ...without, interfaces: [someInterface({ name: 'wire0', kind: 'tun' })] };
    expect(complaints(facts, TAP)).toEqual([]);
    const changed = { ports: { host: 'tap:wire0?mtu=9000' } };
    expect(complaints(facts, changed)).toMatchObject([{ name: 'CAP_NET_ADMIN' }]);
  });

  it('CAP_SYS_ADMIN is enough for BPF', () => {
    const facts = { capabilities: ['CAP_SYS_ADMIN', 'CAP_NET_RAW', 'CAP_NET_ADMIN'] as const };
    const found = complaints({ capabilities: [...facts.capabilities] }, XDP);
    expect(found.map(({ name }) => name)).toEqual(['locked memory']);
  });
});

describe('locked memory', () => {
  const capabilities = ['CAP_NET_ADMIN', 'CAP_NET_RAW', 'CAP_BPF'] as const;
  const facts = { capabilities: [...capabilities], lockedBytesMax: 64 * 2 ** 20 };

  it('is the region once for each af_xdp queue', () => {
    const lan = (queues: number) => ({ device: 'af_xdp:eth0', queues });
    const config = { frames: 16_384, frameBytes: 2048, lcores: 4, ports: { lan: lan(2) } };
    expect(complaints(facts, config)).toEqual([]);
    expect(complaints(facts, { ...config, ports: { lan: lan(3) } })).toEqual([
      {
        name: 'locked memory',
        state: 'missing',
        found: 'RLIMIT_MEMLOCK is 64.0 MiB; 3 af_xdp queues of 32.0 MiB need 96.0 MiB',
        fix: 'ulimit -l 98304, or LimitMEMLOCK=98304K in the unit, or CAP_IPC_LOCK',
      },
    ]);
    // No more than there are lcores.
    expect(complaints(facts, { ...config, lcores: 2, ports: { lan: lan(3) } })).toEqual([]);
  });

  it('is not asked of other devices', () => {
    expect(complaints({ ...facts, lockedBytesMax: 0 }, PACKET)).toEqual([]);
  });
});

describe('memory', () => {
  it('the region must fit, and what fits is said', () => {
    const facts = { availableBytes: 2 ** 20 * 10, hugepages: [] };
    const config = { frames: 16_384, frameBytes: 2048, hugepages: false };
    const fix = 'frames: 2560 in the config';
    expect(complaints(facts, config)).toMatchObject([{ name: 'memory', state: 'missing', fix }]);
  });

  it('hugepages that are missing are a warning, with what the region would take', () => {
    const hugepages = [{ bytes: 2 ** 21, total: 8, free: 3, nodes: [{ node: 0, free: 3 }] }];
    expect(complaints({ hugepages }, { frames: 16_384, frameBytes: 2048 })).toEqual([
      {
        name: 'hugepages',
        state: 'warning',
        found: '2 MiB: 3 of 8 free (node 0: 3); the region would take 16 of 2 MiB',
        fix: 'sysctl -w vm.nr_hugepages=21',
      },
    ]);
    expect(complaints({ hugepages }, { hugepages: false })).toEqual([]);
  });

  it('mappings grow with programs and lcores', () => {
    const program = '/programs/x';
    const programs = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`p${n}`, program]));
    const needs = someNeeds({ programs, lcores: 32 });
    expect(plannedMappings(needs) - plannedMappings(undefined)).toBe(100 * 32 * 16 * 3);
    expect(complaints({}, { programs, lcores: 4 })).toEqual([]);
    const cpus = Array.from({ length: 32 }, (_, cpu) => cpu);
    expect(complaints({ cpus }, { programs, lcores: 32 })).toMatchObject([
      { name: 'vm.max_map_count', state: 'missing', fix: 'sysctl -w vm.max_map_count=262144' },
    ]);
  });

  it('kept state must be on tmpfs, and writable', () => {
    const state = {
      ...someFacts().sharedMemory,
      path: '/var/wirelet',
      memory: false,
      writable: false,
    };
    const found = (facts: object) => complaints({ state: { ...state, ...facts } }, {});
    expect(found({})).toMatchObject([{ found: '/var/wirelet is not on tmpfs', state: 'missing' }]);
    expect(found({ memory: true })).toMatchObject([{ found: '/var/wirelet is not writable' }]);
    expect(found({ memory: true, writable: true })).toEqual([]);
  });
});

describe('CPUs', () => {
  it('a CPU that this process may not use is missing, and more lcores than CPUs a warning', () => {
    expect(complaints({}, { lcores: [0, 9] })).toMatchObject([
      { name: 'CPUs', state: 'missing', fix: 'lcores: [0, 1] in the config' },
    ]);
    expect(complaints({}, { lcores: 5 })).toMatchObject([{ name: 'CPUs', state: 'warning' }]);
  });

  it('who spins on CPUs of its own should have them alone', () => {
    const config = { lcores: [2, 3], idle: 'poll' as const };
    expect(complaints({}, config)).toMatchObject([
      { name: 'isolated CPUs', fix: "isolcpus=2-3 on the kernel's command line" },
    ]);
    expect(complaints({ isolatedCpus: [2, 3] }, config)).toEqual([]);
    expect(complaints({}, { ...config, idle: 'adaptive' })).toEqual([]);
    expect(complaints({ governors: ['performance', 'powersave'] })).toHaveLength(1);
  });

  it('are better on the node of the NICs', () => {
    const nodes = [
      { node: 0, cpus: [0, 1] },
      { node: 1, cpus: [2, 3] },
    ];
    const at = (lcores: number | number[], ...where: number[]) => {
      const ports = where.map((node, index) => ({ port: `nic${index}`, node }));
      return complaints({ numa: { nodes, ports } }, { lcores });
    };
    expect(at([2, 3], 1)).toEqual([]);
    expect(at([1, 2], 1)).toMatchObject([
      {
        name: 'NUMA',
        state: 'warning',
        found: 'nic0: node 1; CPU 1 is on another',
        fix: 'lcores: [2, 3] in the config',
      },
    ]);
    expect(at(1, 1)).toMatchObject([
      { found: 'nic0: node 1; lcores are on any', fix: 'lcores: [2] in the config' },
    ]);
    expect(at([2, 3], 1, 0)).toMatchObject([{ fix: expect.stringMatching(/^two appliances/) }]);
    expect(at([0, 1])).toEqual([]);
    const one = { numa: { nodes: nodes.slice(0, 1), ports: [{ port: 'nic', node: 0 }] } };
    expect(complaints(one, { lcores: [0, 3] })).toEqual([]);
  });

  it('and NICs are on nodes as /sys says', () => {
    const folder = mkdtempSync(join(tmpdir(), 'wirelet-numa-'));
    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    };
    write('devices/system/node/node0/cpulist', '0-1\n');
    write('devices/system/node/node1/cpulist', '2-3\n');
    write('bus/pci/devices/0000:01:00.0/numa_node', '1\n');
    const devices = ['dpdk:0000:01:00.0', 'null:'];
    expect(native().numaFacts(devices, folder)).toEqual({
      nodes: [
        { node: 0, cpus: [0, 1] },
        { node: 1, cpus: [2, 3] },
      ],
      devices: [1, -1],
    });
    rmSync(folder, { recursive: true });
  });
});

describe('interfaces', () => {
  const found = (given: object, config: object = XDP) =>
    complaints({ interfaces: [someInterface(given)] }, config);

  it('one that is not there is missing, but a tap is made', () => {
    expect(found({ present: false })).toMatchObject([{ name: 'eth0', state: 'missing' }]);
    expect(found({ name: 'wire0', present: false }, TAP)).toEqual([]);
  });

  it.each([
    [{ up: false }, 'warning', 'ip link set eth0 up'],
    [{ ethernet: false }, 'missing', 'ip -d link'],
    [{ xdpProgram: 17 }, 'missing', 'ip link set eth0 xdp off'],
    [{ mtu: 9000 }, 'missing', 'frameBytes: 4096 in the config'],
    [{ rxRing: 256 }, 'warning', 'ethtool -G eth0 rx 8192 tx 8192'],
    [{ xdpFeatures: 0 }, 'warning', 'attach=generic, or af_packet'],
  ])('%j is a %s', (given, state, fix) => {
    expect(found(given)).toMatchObject([{ name: 'eth0', state, fix }]);
  });

  it('what only af_xdp minds is nothing to af_packet', () => {
    const given = { xdpProgram: 17, mtu: 9000, xdpFeatures: 0 };
    expect(found(given, PACKET)).toEqual([]);
  });

  it('what the options ask for is missing without it', () => {
    const lan = (options: string) => ({ ports: { lan: `af_xdp:eth0?${options}` } });
    expect(found({ xdpFeatures: 0b0011 }, lan('mode=zerocopy'))).toMatchObject([
      { state: 'missing', fix: 'mode=auto' },
    ]);
    expect(found({ xdpFeatures: 0 }, lan('attach=native'))).toMatchObject([{ state: 'missing' }]);
    expect(found({}, lan('queue=4'))).toMatchObject([{ fix: 'ethtool -L eth0 combined 5' }]);
    expect(found({ xdpFeatures: -1 }, lan('mode=zerocopy'))).toEqual([]);
  });

  it('/dev/net/tun is needed by taps alone', () => {
    expect(complaints({ tun: 'denied' }, XDP)).toEqual([]);
    expect(complaints({ tun: 'denied' })).toMatchObject([{ fix: 'chmod 0666 /dev/net/tun' }]);
    expect(complaints({ tun: 'missing' }, TAP)).toMatchObject([
      { name: '/dev/net/tun', state: 'missing', fix: 'modprobe tun' },
    ]);
  });
});

describe('kernel', () => {
  it('an old one lacks what newer ones have', () => {
    const states = (config: object) =>
      complaints({ kernel: '5.8.0-1-amd64' }, config).map(({ state }) => state);
    expect(states(XDP)).toEqual(['missing', 'warning', 'warning', 'warning']);
    expect(states(PACKET)).toEqual([]);
    expect(complaints({ kernel: '5.8.0' }).map(({ name }) => name)).toHaveLength(4);
  });

  it('who is denied a socket lacks a capability, who gets none lacks the kernel', () => {
    const support = { afXdp: 'denied', afPacket: 'yes', memfd: 'yes' } as const;
    expect(complaints({ support }, XDP)).toEqual([]);
    expect(complaints({ support: { ...support, afXdp: 'no' } }, XDP)).toMatchObject([
      { name: 'AF_XDP sockets', state: 'missing' },
    ]);
  });

  it.each([
    ['6.18.44-fc', 6, 3, true],
    ['6.2.0', 6, 3, false],
    ['5.15.0', 5, 9, true],
    ['10.0', 6, 8, true],
  ])('%s is at least %i.%i: %s', (kernel, major, minor, expected) => {
    expect(atLeast(kernel, major, minor)).toBe(expected);
  });
});

describe('outside', () => {
  it('libraries are advice, and the folder of the socket must be writable', () => {
    const libraries = { ...someFacts().libraries, libpcap: undefined, libdpdk: undefined };
    expect(complaints({ libraries }, {})).toMatchObject([{ name: 'libpcap', state: 'warning' }]);
    const socket = { ...someFacts().sharedMemory, path: '/run/x' };
    expect(complaints({ socket: { ...socket, writable: false } }, {})).toMatchObject([
      { name: 'control socket', state: 'missing' },
    ]);
    expect(complaints({ socket: { ...socket, open: true } }, {})).toMatchObject([
      { state: 'warning', fix: 'chmod o-w /run/x' },
    ]);
  });
});

describe('DPDK', () => {
  const libraries = { ...someFacts().libraries, dpdkPlugin: undefined };
  const ports = { nic: 'dpdk:0000:01:00.0?rxd=512', ring: 'dpdk:net_ring0' };

  it('is needed by its ports, and by nobody else', () => {
    expect(complaints({ libraries }, {})).toEqual([]);
    expect(complaints({ libraries }, { ports })).toMatchObject([
      { name: 'DPDK plugin', state: 'missing', found: 'not built; needed by nic, ring' },
    ]);
  });

  it('wants hugepages for NICs, not for its software drivers', () => {
    const none = { hugepages: [], libraries: someFacts().libraries };
    const names = (config: object) => complaints(none, config).map(({ name }) => name);
    expect(names({ ports })).toContain('hugepages for NICs');
    expect(names({ ports: { ring: ports.ring } })).not.toContain('hugepages for NICs');
    expect(complaints({}, { ports })).toEqual([]);
  });

  it('is the one that the plugin was built for', () => {
    const facts = { libraries: { ...someFacts().libraries, dpdkFound: undefined } };
    const found = 'built for librte_eal.so.23, which is not installed; needed by nic, ring';
    expect(complaints(facts, { ports })).toEqual([
      { name: 'DPDK plugin', state: 'missing', found, fix: 'npm run build' },
    ]);
  });

  it.each([
    [{ driver: 'ice' }, '8086:10d3, bound to ice', 'dpdk-devbind.py -b vfio-pci 0000:01:00.0'],
    [{ driver: '' }, '8086:10d3, bound to no driver', 'dpdk-devbind.py -b vfio-pci 0000:01:00.0'],
    [{ driver: 'uio_pci_generic', group: '' }, '8086:10d3, bound to uio_pci_generic', 'vfio-pci'],
    [{ group: '' }, '8086:10d3, vfio-pci without an IOMMU', 'intel_iommu=on'],
    [{ vfio: 'denied' as const }, '8086:10d3, vfio-pci, but /dev/vfio/4 is denied', 'chown'],
    [{ address: '0000:02:00.0' }, 'no network controller there', 'lspci'],
  ])('a NIC that is %j is missing', (given, found, fix) => {
    const [complaint, ...others] = complaints({ nics: [someNic(given)] }, { ports });
    expect(others).toEqual([]);
    const name = '0000:01:00.0';
    expect(complaint).toMatchObject({ name, state: 'missing', found: `${found}; needed by nic` });
    expect(complaint?.fix).toContain(fix);
  });

  it('takes the short name of a NIC, and an IOMMU unless the kernel keeps the NIC, too', () => {
    const short = { ports: { nic: 'dpdk:01:00.0,arg=1' } };
    expect(complaints({}, short)).toEqual([]);
    const without = (driver: string) =>
      complaints({ iommu: false, nics: [someNic({ driver })] }, short);
    expect(without('vfio-pci')).toMatchObject([{ name: 'IOMMU', state: 'missing' }]);
    expect(without('mlx5_core')).toEqual([]);
  });

  it('without a config NICs that are handed out are named', () => {
    const nics = [someNic({}), someNic({ address: '0000:02:00.0', driver: 'ice' })];
    const { checks, ok } = diagnosisOf(someFacts({ nics }), undefined);
    const named = checks.filter(({ name }) => name.startsWith('0000:'));
    expect([named, ok]).toEqual([
      [{ name: '0000:01:00.0', state: 'ok', found: '8086:10d3, vfio-pci, IOMMU group 4' }],
      true,
    ]);
  });
});

describe('what the kernel writes', () => {
  it('is read as it means it', () => {
    expect(capabilitiesOf('000001ffffffffff')).toHaveLength(5);
    expect(capabilitiesOf('0000000000003000')).toEqual(['CAP_NET_ADMIN', 'CAP_NET_RAW']);
    const limits =
      'Max processes  1 2 processes\nMax locked memory         8388608   unlimited  bytes';
    expect(lockedBytesMax(limits)).toBe(8_388_608);
    expect(lockedBytesMax('Max locked memory   unlimited  unlimited  bytes')).toBe(Infinity);
    expect(cpuList('0-2,5\n')).toEqual([0, 1, 2, 5]);
    expect(cpuList('\n')).toEqual([]);
    expect(ranges([5, 0, 1, 2])).toBe('0-2,5');
  });
});
