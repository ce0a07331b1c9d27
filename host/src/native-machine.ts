/** What the addon tells about the machine. */

/** What the kernel gives this process. */
export interface NativeKernel {
  afXdp: NativeSupport;
  afPacket: NativeSupport;
  /** Anonymous memory whose size can be sealed. */
  memfd: NativeSupport;
}

/** `denied`: the kernel has it, and this process may not. */
export type NativeSupport = 'yes' | 'denied' | 'no';

/** Where CPUs and devices are. */
export interface NativeNuma {
  nodes: { node: number; cpus: number[] }[];
  /** Of each device; -1 for software, and where nobody knows. */
  devices: number[];
}

/** An interface of this network namespace. */
export interface NativeInterface {
  name: string;
  /** When it is not there, nothing else is known. */
  present: boolean;
  /** Ethernet, or loopback. */
  ethernet: boolean;
  /** Up, with a carrier. */
  up: boolean;
  mtu: number;
  /** '' where the driver does not say. */
  driver: string;
  /** `veth`, `tun` and so on; '' for hardware. */
  kind: string;
  /** Bits of the kernel's `enum netdev_xdp_act`; -1 where it does not tell them. */
  xdpFeatures: number;
  /** Number of the XDP program that is attached; 0 for none. */
  xdpProgram: number;
  /** Packets; 0 where the driver does not say. */
  rxRing: number;
  rxRingMax: number;
  txRing: number;
  txRingMax: number;
  rxQueues: number;
}
