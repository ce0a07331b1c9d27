/** What is not part of Wirelet or of the kernel: libraries, and the folder of the socket. */
import { type Check, presence } from '../check.js';
import type { Facts } from '../facts.js';
import { type Needs, portsOf } from '../needs.js';

const BUILD_PLUGIN = 'apt install libdpdk-dev dpdk-dev, and `npm run build`';
const PCI_ADDRESS = /^(?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/i;

export function checkOutside(facts: Facts, needs: Needs | undefined): Check[] {
  const { libpcap, libdpdk, dpdkPlugin } = facts.libraries;
  return [
    presence('libpcap', libpcap !== undefined, undefined, {
      found: libpcap ?? 'not installed',
      use: 'for `wirelet trace --filter`',
      fix: 'apt install libpcap0.8',
    }),
    presence('DPDK', libdpdk !== undefined, portsOf(needs, 'dpdk'), {
      found: libdpdk ?? 'not installed',
      use: 'for dpdk ports',
      fix: BUILD_PLUGIN,
    }),
    presence('DPDK plugin', dpdkPlugin !== undefined, portsOf(needs, 'dpdk'), {
      found: dpdkPlugin ?? 'not built',
      use: 'for dpdk ports',
      fix: BUILD_PLUGIN,
    }),
    ...checkNics(facts, needs),
    ...checkSocket(facts),
  ];
}

/** NICs are told where frames are page by page: DPDK's own memory must be in large ones. */
function checkNics({ hugepages }: Facts, needs: Needs | undefined): Check[] {
  const nics = needs?.devices.filter(({ driver, target }) => {
    return driver === 'dpdk' && PCI_ADDRESS.test(target);
  });
  if (!nics?.length) return [];
  return [
    presence(
      'hugepages for NICs',
      hugepages.some(({ free }) => free > 0),
      nics.map(({ port }) => port),
      { found: 'none are free', use: 'for dpdk ports', fix: 'sysctl -w vm.nr_hugepages=256' },
    ),
  ];
}

function checkSocket({ socket }: Facts): Check[] {
  if (socket === undefined) return [];
  const name = 'control socket';
  const { path, exists, writable, open } = socket;
  if (!writable) {
    const fix = 'name another place: --socket, WIRELET_SOCKET or control.socket';
    return [{ name, state: 'missing', found: `${path} is not writable`, fix }];
  }
  if (open) {
    const found = `anybody may replace the socket in ${path}`;
    return [{ name, state: 'warning', found, fix: `chmod o-w ${path}` }];
  }
  return [{ name, state: 'ok', found: exists ? path : `${path} will be made` }];
}
