/** Capabilities and locked memory of this process against what the devices need. */
import { type Check, presence } from '../check.js';
import type { Capability, Facts } from '../facts.js';
import { driversThatNeed, type Needs, portsOf } from '../needs.js';
import { bytesText, KIB, MIB } from '../size.js';

const ASKED: readonly Capability[] = ['CAP_NET_RAW', 'CAP_NET_ADMIN', 'CAP_BPF'];

export function checkPrivileges(facts: Facts, needs: Needs | undefined): Check[] {
  const capabilities = ASKED.map((name) => checkCapability(name, facts, needs));
  return [...capabilities, checkLockedMemory(facts, needs)];
}

function checkCapability(name: Capability, facts: Facts, needs: Needs | undefined): Check {
  const drivers = driversThatNeed(name);
  const need = portsOf(needs, ...drivers)?.filter((port) => !isMade(port, name, facts, needs));
  // Who has CAP_SYS_ADMIN may use BPF, too.
  const has = facts.capabilities.includes(name);
  const present = has || (name === 'CAP_BPF' && facts.capabilities.includes('CAP_SYS_ADMIN'));
  return presence(name, present, need, {
    found: present ? 'yes' : 'no',
    use: `for ${drivers.join(', ')}`,
    fix: runWith(need === undefined || need.length === 0 ? ASKED : neededBy(needs)),
  });
}

/** A tap that an administrator has made for a user needs no capability. */
function isMade(port: string, name: Capability, facts: Facts, needs: Needs | undefined): boolean {
  const device = needs?.devices.find((each) => each.port === port);
  if (device?.driver !== 'tap' || name !== 'CAP_NET_ADMIN') return false;
  const { mac, mtu, up } = device.options;
  const asks = mac !== undefined || mtu !== undefined || up !== undefined;
  return !asks && facts.interfaces.some((each) => each.name === device.target && each.present);
}

function neededBy(needs: Needs | undefined): Capability[] {
  const drivers = needs?.devices.map(({ driver }) => driver as string) ?? [];
  return ASKED.filter((name) => driversThatNeed(name).some((driver) => drivers.includes(driver)));
}

/** The process with just these; a unit of systemd's is in docs/operating.md. */
function runWith(capabilities: readonly Capability[]): string {
  const names = capabilities.map((name) => `+${name.slice('CAP_'.length).toLowerCase()}`).join(',');
  const who = '--reuid=$(id -u) --regid=$(id -g) --init-groups';
  return `sudo setpriv ${who} --inh-caps=${names} --ambient-caps=${names} wirelet run`;
}

/** A UMEM is locked memory, and each queue registers all of the region. */
function checkLockedMemory(facts: Facts, needs: Needs | undefined): Check {
  const name = 'locked memory';
  const limit = facts.lockedBytesMax;
  const limitText = limit === Number.POSITIVE_INFINITY ? 'unlimited' : bytesText(limit);
  if (facts.capabilities.includes('CAP_IPC_LOCK')) {
    return { name, state: 'ok', found: 'no limit: CAP_IPC_LOCK' };
  }
  const found = `RLIMIT_MEMLOCK is ${limitText}`;
  if (needs === undefined) {
    // The default region, once.
    const isSmall = limit < 64 * MIB;
    const fix = `ulimit -l ${(64 * MIB) / KIB}, or LimitMEMLOCK=64M in the unit`;
    return isSmall
      ? { name, state: 'warning', found: `${found}; for af_xdp`, fix }
      : { name, state: 'ok', found };
  }
  const ports = needs.devices.filter(({ driver }) => driver === 'af_xdp');
  const queues = ports.reduce((sum, port) => sum + port.queues, 0);
  const bytes = queues * needs.regionBytes;
  if (bytes <= limit) return { name, state: 'ok', found };
  const kilobytes = Math.ceil(bytes / KIB);
  const sum = `${queues} af_xdp queue${queues === 1 ? '' : 's'} of ${bytesText(needs.regionBytes)}`;
  return {
    name,
    state: 'missing',
    found: `${found}; ${sum} need ${bytesText(bytes)}`,
    fix: `ulimit -l ${kilobytes}, or LimitMEMLOCK=${kilobytes}K in the unit, or CAP_IPC_LOCK`,
  };
}
