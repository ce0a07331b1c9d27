/** Interfaces: there, up, with XDP, with rings and queues of a good size. */
import type { NativeInterface } from '../../native-machine.js';
import type { Check } from '../check.js';
import type { Facts } from '../facts.js';
import type { NeededDevice, Needs } from '../needs.js';

/** Bits of `enum netdev_xdp_act` (linux/netdev.h). */
const XDP_NATIVE = 1;
const XDP_REDIRECT = 2;
const XDP_ZERO_COPY = 8;
/** Bytes of an af_xdp frame before a received packet; of a packet before its MTU. */
const XDP_HEADROOM_BYTES = 256;
const HEADER_BYTES = 18;

export function checkInterfaces(facts: Facts, needs: Needs | undefined): Check[] {
  const checks = facts.interfaces.map((each) => {
    const devices = needs?.devices.filter(({ driver, target }) => isOf(driver, target, each.name));
    return checkInterface(each, devices, needs);
  });
  return [checkTun(facts, needs), ...checks.flat()];
}

function isOf(driver: string, target: string, name: string): boolean {
  return target === name && ['af_packet', 'af_xdp', 'tap'].includes(driver);
}

function checkTun({ tun }: Facts, needs: Needs | undefined): Check {
  const name = '/dev/net/tun';
  if (tun === 'usable') return { name, state: 'ok', found: 'usable' };
  const isNeeded = needs?.devices.some(({ driver }) => driver === 'tap');
  if (needs && !isNeeded) return { name, state: 'ok', found: `${tun}, and not needed` };
  const found = tun === 'missing' ? 'not there; for tap' : 'not for this user; for tap';
  const fix = tun === 'missing' ? 'modprobe tun' : 'chmod 0666 /dev/net/tun';
  return { name, state: isNeeded ? 'missing' : 'warning', found, fix };
}

/** One line for what it is, and one for each thing to be mended. */
function checkInterface(
  found: NativeInterface,
  devices: readonly NeededDevice[] | undefined,
  needs: Needs | undefined,
): Check[] {
  const { name } = found;
  if (!found.present) {
    if (devices?.every(({ driver }) => driver === 'tap')) {
      return [{ name, state: 'ok', found: 'not there: it will be made' }];
    }
    return [{ name, state: 'missing', found: 'no such interface here', fix: 'ip link' }];
  }
  const troubles = [
    ...(devices === undefined ? [] : troublesOfLink(found)),
    ...troublesOfRings(found),
    ...(devices ?? [])
      .filter(({ driver }) => driver === 'af_xdp')
      .flatMap((device) => troublesOfXdp(found, device, needs?.frameBytes ?? 0)),
  ].map((trouble) => ({ name, ...trouble }));
  return [{ name, state: 'ok', found: interfaceText(found) }, ...troubles];
}

type Trouble = Omit<Check, 'name'>;

function troublesOfLink({ name, ethernet, up }: NativeInterface): Trouble[] {
  if (!ethernet) return [{ state: 'missing', found: 'not Ethernet', fix: 'ip -d link' }];
  if (up) return [];
  return [{ state: 'warning', found: 'no link', fix: `ip link set ${name} up` }];
}

function troublesOfRings({ name, rxRing, rxRingMax, txRing, txRingMax }: NativeInterface) {
  const small = (ring: number, max: number) => ring > 0 && ring < Math.min(max, 4096);
  if (!small(rxRing, rxRingMax) && !small(txRing, txRingMax)) return [];
  const found = `rings of ${rxRing} and ${txRing} packets, of ${rxRingMax} and ${txRingMax}`;
  const fix = `ethtool -G ${name} rx ${rxRingMax} tx ${txRingMax}`;
  return [{ state: 'warning', found, fix } satisfies Trouble];
}

function troublesOfXdp(
  found: NativeInterface,
  { options, queues }: NeededDevice,
  frameBytes: number,
): Trouble[] {
  const { name, mtu, xdpFeatures, xdpProgram, rxQueues } = found;
  const troubles: Trouble[] = [];
  if (xdpProgram > 0) {
    troubles.push({
      state: 'missing',
      found: `XDP program ${xdpProgram} is on it already`,
      fix: `ip link set ${name} xdp off`,
    });
  }
  const room = frameBytes - XDP_HEADROOM_BYTES - HEADER_BYTES;
  if (mtu > room) {
    const text = `MTU ${mtu}, and frames of ${frameBytes} bytes have room for ${room}`;
    const fix =
      frameBytes < 4096 ? 'frameBytes: 4096 in the config' : `ip link set ${name} mtu 1500`;
    troubles.push({ state: 'missing', found: text, fix });
  }
  const last = Number(options.queue ?? 0) + queues;
  if (rxQueues > 0 && last > rxQueues) {
    const text = `${rxQueues} queues, the config takes ${queues} from ${options.queue ?? 0} on`;
    troubles.push({ state: 'missing', found: text, fix: `ethtool -L ${name} combined ${last}` });
  }
  if (xdpFeatures < 0) return troubles;
  const native = (xdpFeatures & XDP_NATIVE) !== 0 && (xdpFeatures & XDP_REDIRECT) !== 0;
  if (!native) {
    const state = options.attach === 'native' ? 'missing' : 'warning';
    const text = 'its driver has no XDP: the kernel runs the program, with a copy';
    troubles.push({ state, found: text, fix: 'attach=generic, or af_packet' });
  } else if (options.mode === 'zerocopy' && (xdpFeatures & XDP_ZERO_COPY) === 0) {
    troubles.push({ state: 'missing', found: 'its driver has no zero copy', fix: 'mode=auto' });
  }
  return troubles;
}

/** `virtio_net, up, MTU 1500, XDP native, rings 256/256`. */
function interfaceText(found: NativeInterface): string {
  const { driver, kind, up, mtu, xdpFeatures, rxRing, txRing, rxQueues } = found;
  const xdp = (xdpFeatures & XDP_ZERO_COPY) !== 0 ? 'native, zero copy' : 'native';
  const hasXdp = xdpFeatures >= 0 && (xdpFeatures & XDP_NATIVE) !== 0;
  return [
    driver || kind || 'unknown driver',
    up ? 'up' : 'down',
    `MTU ${mtu}`,
    ...(xdpFeatures < 0 ? [] : [`XDP ${hasXdp ? xdp : 'generic'}`]),
    ...(rxRing === 0 ? [] : [`rings ${rxRing}/${txRing}`]),
    ...(rxQueues === 0 ? [] : [`${rxQueues} queue${rxQueues === 1 ? '' : 's'}`]),
  ].join(', ');
}
