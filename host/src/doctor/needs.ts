/** What a config needs of the machine. */
import type { ResolvedConfig } from '../config/resolve.js';
import { type DeviceSpec, innermostDevice } from '../device.js';
import type { Capability } from './facts.js';

/** Drivers of interfaces of the kernel. */
const INTERFACE_DRIVERS = ['af_packet', 'af_xdp', 'tap'];

/** What each driver needs; docs/devices.md, Privileges. */
const CAPABILITIES_OF: Readonly<Record<string, readonly Capability[]>> = {
  af_packet: ['CAP_NET_RAW'],
  tap: ['CAP_NET_ADMIN'],
  af_xdp: ['CAP_NET_RAW', 'CAP_NET_ADMIN', 'CAP_BPF'],
};

/** A port, as far as the machine is concerned. */
export interface NeededDevice extends Pick<DeviceSpec, 'driver' | 'target'> {
  port: string;
  /** Options of the device. */
  options: Readonly<Record<string, string>>;
  queues: number;
}

export interface Needs {
  devices: NeededDevice[];
  /** Names of the interfaces of `devices`. */
  interfaces: string[];
  frameBytes: number;
  regionBytes: number;
  hugepages: boolean;
  /** CPU of each lcore; -1 for one that the kernel places. */
  lcores: number[];
  idle: 'adaptive' | 'poll';
  /** Program instances at once: programs × lcores. */
  instances: number;
  /** '' where no state is kept. */
  stateDirectory: string;
}

export function needsOf(config: ResolvedConfig): Needs {
  const lcores = config.lcores.length;
  const devices = config.ports.map(({ name, device, queues }) => {
    const { driver, target, query } = innermostDevice(device, `ports.${name}`);
    const pairs = query.split('&').map((option) => option.split('=', 2));
    const options = Object.fromEntries(pairs.map(([key = '', value = 'true']) => [key, value]));
    return { port: name, driver, target, options, queues: Math.min(queues, lcores) };
  });
  const ofInterfaces = devices.filter(({ driver }) => INTERFACE_DRIVERS.includes(driver));
  return {
    devices,
    interfaces: [...new Set(ofInterfaces.map(({ target }) => target))],
    frameBytes: config.frameBytes,
    regionBytes: config.frames * config.frameBytes,
    hugepages: config.hugepages,
    lcores: config.lcores,
    idle: config.idle,
    instances: config.programs.length * lcores,
    stateDirectory: config.stateDirectory,
  };
}

/** Ports whose device is one of these drivers'. Undefined without a config. */
export function portsOf(needs: Needs | undefined, ...drivers: string[]): string[] | undefined {
  return needs?.devices.filter(({ driver }) => drivers.includes(driver)).map(({ port }) => port);
}

/** Drivers that need this capability. */
export function driversThatNeed(capability: Capability): string[] {
  const drivers = Object.entries(CAPABILITIES_OF);
  return drivers.filter(([, needed]) => needed.includes(capability)).map(([driver]) => driver);
}
