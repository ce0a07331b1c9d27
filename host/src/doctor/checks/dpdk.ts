/** DPDK: its library, our plugin, and the NICs that it is to drive. */
import { type Check, presence } from '../check.js';
import type { Facts, Nic } from '../facts.js';
import { type Needs, portsOf } from '../needs.js';

const BUILD_PLUGIN = 'apt install libdpdk-dev dpdk-dev, and `npm run build`';
const IOMMU = "intel_iommu=on on the kernel's command line; in the firmware: VT-d, AMD-Vi";
const PCI_ADDRESS = /^(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/i;
/** Drivers of the kernel's that DPDK leaves in place: it works through them. */
const SHARED = ['mlx4_core', 'mlx5_core', 'mana'];
/** Drivers that only hand a device to a process. */
const HANDED_OUT = ['vfio-pci', 'uio_pci_generic', 'igb_uio'];

/** A port whose device is on the PCI bus. */
interface PciPort {
  port: string;
  address: string;
  nic: Nic | undefined;
}

export function checkDpdk(facts: Facts, needs: Needs | undefined): Check[] {
  const { libdpdk } = facts.libraries;
  return [
    presence('DPDK', libdpdk !== undefined, portsOf(needs, 'dpdk'), {
      found: libdpdk ?? 'not installed',
      use: 'for dpdk ports',
      fix: BUILD_PLUGIN,
    }),
    checkPlugin(facts, needs),
    ...checkNics(facts, needs),
  ];
}

function checkPlugin({ libraries }: Facts, needs: Needs | undefined): Check {
  const { libdpdk, dpdkPlugin, dpdkWanted, dpdkFound } = libraries;
  const stale = dpdkPlugin !== undefined && libdpdk !== undefined && dpdkFound === undefined;
  const found = stale
    ? `built for ${dpdkWanted ?? 'another DPDK'}, which is not installed`
    : (dpdkPlugin ?? 'not built');
  return presence('DPDK plugin', dpdkPlugin !== undefined && !stale, portsOf(needs, 'dpdk'), {
    found,
    use: 'for dpdk ports',
    fix: stale ? 'npm run build' : BUILD_PLUGIN,
  });
}

/** Without a config, those that are handed out already. */
function checkNics(facts: Facts, needs: Needs | undefined): Check[] {
  if (needs === undefined) {
    const handedOut = facts.nics.filter(({ driver }) => HANDED_OUT.includes(driver));
    return handedOut.map((nic) => checkNic({ port: '', address: nic.address, nic }));
  }
  const ports = pciPorts(facts, needs);
  if (ports.length === 0) return [];
  const all = ports.map(({ port }) => port);
  const own = ports.filter(({ nic }) => !SHARED.includes(nic?.driver ?? ''));
  return [
    ...ports.map(checkNic),
    presence('IOMMU', facts.iommu, portNames(own), {
      found: facts.iommu ? 'on' : 'none, or off',
      use: 'for NICs by vfio-pci',
      fix: IOMMU,
    }),
    // NICs are told where frames are page by page: DPDK's own memory must be in large ones.
    presence(
      'hugepages for NICs',
      facts.hugepages.some(({ free }) => free > 0),
      all,
      {
        found: facts.hugepages.some(({ free }) => free > 0) ? 'some are free' : 'none are free',
        use: 'for dpdk ports',
        fix: 'sysctl -w vm.nr_hugepages=256',
      },
    ),
  ];
}

function portNames(ports: readonly PciPort[]): string[] {
  return ports.map(({ port }) => port);
}

function pciPorts({ nics }: Facts, { devices }: Needs): PciPort[] {
  return devices.flatMap(({ driver, target, port }) => {
    const [short] = (driver === 'dpdk' && PCI_ADDRESS.exec(target)) || [];
    if (short === undefined) return [];
    const long = short.split(':').length === 3 ? short : `0000:${short}`;
    const address = long.toLowerCase();
    return [{ port, address, nic: nics.find((nic) => nic.address === address) }];
  });
}

function checkNic({ port, address, nic }: PciPort): Check {
  const by = port === '' ? '' : `; needed by ${port}`;
  const missing = (found: string, fix: string): Check => {
    return { name: address, state: 'missing', found: `${found}${by}`, fix };
  };
  if (nic === undefined) return missing('no network controller there', 'lspci -D | grep -i net');
  const { id, driver, group, vfio } = nic;
  const bind = `dpdk-devbind.py -b vfio-pci ${address}`;
  if (SHARED.includes(driver)) {
    return { name: address, state: 'ok', found: `${id}, shared with ${driver}` };
  }
  if (driver !== 'vfio-pci') return missing(`${id}, bound to ${driver || 'no driver'}`, bind);
  if (group === '') return missing(`${id}, vfio-pci without an IOMMU`, IOMMU);
  if (vfio !== 'usable') {
    const file = `/dev/vfio/${group}`;
    return missing(`${id}, vfio-pci, but ${file} is ${vfio}`, `chown $(id -u) ${file}`);
  }
  return { name: address, state: 'ok', found: `${id}, vfio-pci, IOMMU group ${group}` };
}
