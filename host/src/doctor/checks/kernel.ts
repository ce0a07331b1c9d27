/** The kernel: its version, and what it gives to devices. */
import type { NativeSupport } from '../../native-machine.js';
import { type Check, presence } from '../check.js';
import type { Facts } from '../facts.js';
import { type Needs, portsOf } from '../needs.js';

/** Since which version, for whom; docs/devices.md names them too. */
const SINCE = {
  'BPF link for XDP': { version: [5, 9], use: 'af_xdp' },
  'busy polling': { version: [5, 11], use: 'af_xdp with busy-poll' },
  'XDP features by netlink': { version: [6, 3], use: 'wirelet doctor' },
  'VLAN tags in XDP metadata': { version: [6, 8], use: 'af_xdp, tags that hardware strips' },
} as const;

export function checkKernel(facts: Facts, needs: Needs | undefined): Check[] {
  const newer = 'a newer kernel: apt install linux-image-amd64, and boot it';
  const since = Object.entries(SINCE).map(([name, { version, use }]) => {
    const [major, minor] = version;
    const ports = portsOf(needs, 'af_xdp');
    // What is only better with it is a warning.
    const needed = name === 'BPF link for XDP' || ports?.length === 0 ? ports : undefined;
    const present = atLeast(facts.kernel, major, minor);
    const found = present ? `since Linux ${major}.${minor}` : `needs Linux ${major}.${minor}`;
    return presence(name, present, needed, { found, use: `for ${use}`, fix: newer });
  });
  const { afXdp, afPacket, memfd } = facts.support;
  return [
    { name: 'kernel', state: 'ok', found: `Linux ${facts.kernel}` },
    supported('sealed memory', memfd, needs === undefined ? undefined : ['every port'], 'all'),
    supported('packet sockets', afPacket, portsOf(needs, 'af_packet'), 'af_packet'),
    supported('AF_XDP sockets', afXdp, portsOf(needs, 'af_xdp'), 'af_xdp'),
    ...since,
  ];
}

/** Who is denied lacks a capability, which is a check of its own. */
function supported(
  name: string,
  support: NativeSupport,
  need: readonly string[] | undefined,
  driver: string,
): Check {
  const denied = 'the kernel has them, this process may not';
  const found = { yes: 'yes', denied, no: 'not in this kernel' }[support];
  const fix = 'a kernel with CONFIG_PACKET, CONFIG_XDP_SOCKETS and CONFIG_MEMFD_CREATE';
  return presence(name, support !== 'no', need, { found, use: `for ${driver}`, fix });
}

/** Whether `kernel`, as `uname -r` says it, is at least that. */
export function atLeast(kernel: string, major: number, minor: number): boolean {
  const [, first = '0', second = '0'] = /^(\d+)\.(\d+)/.exec(kernel) ?? [];
  return Number(first) > major || (Number(first) === major && Number(second) >= minor);
}
