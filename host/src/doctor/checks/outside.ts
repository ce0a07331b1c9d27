/** What is not part of Wirelet or of the kernel: libraries, and the folder of the socket. */
import { type Check, presence } from '../check.js';
import type { Facts } from '../facts.js';
import type { Needs } from '../needs.js';

export function checkOutside(facts: Facts, _needs: Needs | undefined): Check[] {
  const { libpcap } = facts.libraries;
  return [
    presence('libpcap', libpcap !== undefined, undefined, {
      found: libpcap ?? 'not installed',
      use: 'for `wirelet trace --filter`',
      fix: 'apt install libpcap0.8',
    }),
    ...checkSocket(facts),
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
