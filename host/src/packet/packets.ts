/**
 * Whole packets from what matters about them: addresses, ports, payload. Lengths and checksums are
 * right; whatever else may be given has a default.
 *
 * ```ts
 * udp({ from: '10.0.0.1:1000', to: '192.0.2.53:53', payload: dnsQuery('a.example') });
 * tcp({ from: '[2001:db8::1]:4000', to: '[2001:db8::2]:443', flags: 'S', vlan: 7 });
 * ```
 */
import * as layers from './layers.js';

export interface LinkFields {
  /** `02:00:00:00:00:01`. */
  fromMac?: string;
  /** `02:00:00:00:00:02`; of an ARP request, broadcast. */
  toMac?: string;
  /** Number of a VLAN, or of several, the outermost first. */
  vlan?: number | readonly number[];
  /** Bytes that the packet is padded to; 60 by default, as on a wire. */
  pad?: number;
}

/** Both addresses are of IPv4 or both of IPv6. Without any it is 192.0.2.1 to 198.51.100.2. */
export interface IpFields extends LinkFields {
  /** `10.0.0.1:1000`, `[2001:db8::1]:1000`, or without the port. */
  from?: string;
  /** As `from`. */
  to?: string;
  /** Time to live, or IPv6's hop limit; 64. */
  ttl?: number;
}

export interface UdpPacketFields extends IpFields {
  /** Text is sent as UTF-8. */
  payload?: Uint8Array | string;
}

/** An Ethernet packet with UDP. Ports are 40000 to 9 by default. @throws TypeError */
export function udp(fields: UdpPacketFields = {}): Uint8Array {
  const { source, destination } = endpointsOf(fields);
  return overIp(fields, layers.udp({ ...ports(source, destination), ...payloadOf(fields) }));
}

export interface TcpPacketFields extends UdpPacketFields {
  /** As tcpdump prints them: `S`, `S.`, `P.`, `F.`, `R`; a dot is ACK. `S` by default. */
  flags?: string;
  sequence?: number;
  acknowledgment?: number;
  window?: number;
  /** A multiple of 4 bytes. */
  options?: Uint8Array;
}

/** An Ethernet packet with TCP, a SYN by default. Ports are 40000 to 80. @throws TypeError */
export function tcp(fields: TcpPacketFields = {}): Uint8Array {
  const { flags, sequence, acknowledgment, window, options } = fields;
  const { source, destination } = endpointsOf(fields);
  const segment = layers.tcp({
    ...ports(source, destination),
    ...payloadOf(fields),
    ...given({ sequence, acknowledgment, window, options }),
    ...(flags === undefined ? {} : { flags: flagBits(flags) }),
  });
  return overIp(fields, segment);
}

export interface IcmpPacketFields extends UdpPacketFields {
  type?: number;
  code?: number;
  identifier?: number;
  sequence?: number;
}

/** An Ethernet packet with ICMP, over IPv6 ICMPv6: an echo request by default. @throws TypeError */
export function icmp(fields: IcmpPacketFields = {}): Uint8Array {
  const { type, code, identifier, sequence } = fields;
  const message = { ...given({ type, code, identifier, sequence }), ...payloadOf(fields) };
  const isIpv6 = endpointsOf(fields).version === 6;
  return overIp(fields, isIpv6 ? layers.icmpv6(message) : layers.icmp(message));
}

export interface ArpPacketFields extends LinkFields {
  operation?: 'request' | 'reply';
  /** IPv4 address of who asks or answers. */
  from?: string;
  /** IPv4 address that is asked for, or answered. */
  to?: string;
}

/** An ARP packet, a request by default. @throws TypeError */
export function arp(fields: ArpPacketFields = {}): Uint8Array {
  const { operation = 'request', from, to, fromMac, toMac } = fields;
  const isRequest = operation === 'request';
  const targetMac = toMac ?? (isRequest ? undefined : layers.DEFAULTS.destinationMac);
  const message = layers.arp({
    operation: isRequest ? 1 : 2,
    ...given({ senderIp: from, targetIp: to, senderMac: fromMac, targetMac }),
  });
  return onLink({ ...(isRequest ? { toMac: 'ff:ff:ff:ff:ff:ff' } : {}), ...fields }, message);
}

/** Something with an address and perhaps a port. */
interface Endpoint {
  version: 4 | 6;
  address: string;
  port?: number;
}

interface Endpoints {
  version: 4 | 6;
  source: Endpoint | undefined;
  destination: Endpoint | undefined;
}

function endpointsOf({ from, to }: IpFields): Endpoints {
  const source = from === undefined ? undefined : endpoint(from);
  const destination = to === undefined ? undefined : endpoint(to);
  const version = source?.version ?? destination?.version ?? 4;
  if (destination && destination.version !== version) {
    throw new TypeError(`from "${from}" to "${to}": one is IPv4, the other IPv6`);
  }
  return { version, source, destination };
}

function endpoint(text: string): Endpoint {
  const [, address4, port4] = /^([\d.]+)(?::(\d+))?$/.exec(text) ?? [];
  if (address4 !== undefined) return { version: 4, address: address4, ...portOf(port4, text) };
  const [, address6, port6] = /^\[([^\]]*)\](?::(\d+))?$/.exec(text) ?? [];
  if (address6 !== undefined) return { version: 6, address: address6, ...portOf(port6, text) };
  if (text.includes(':')) return { version: 6, address: text };
  throw new TypeError(`"${text}" is no address, such as 10.0.0.1:53 or [2001:db8::1]:53`);
}

function portOf(digits: string | undefined, text: string): { port?: number } {
  if (digits === undefined) return {};
  if (Number(digits) > 0xffff) throw new TypeError(`"${text}": ports go up to 65535`);
  return { port: Number(digits) };
}

function ports(source: Endpoint | undefined, destination: Endpoint | undefined) {
  return given({ sourcePort: source?.port, destinationPort: destination?.port });
}

function overIp(fields: IpFields, payload: layers.Layer): Uint8Array {
  const { version, source, destination } = endpointsOf(fields);
  const addresses = given({ source: source?.address, destination: destination?.address });
  const { ttl } = fields;
  if (version === 4) {
    return onLink(fields, layers.ipv4({ ...addresses, ...given({ timeToLive: ttl }), payload }));
  }
  return onLink(fields, layers.ipv6({ ...addresses, ...given({ hopLimit: ttl }), payload }));
}

/** Of several tags, the outer ones are service tags (IEEE 802.1ad). */
function onLink({ fromMac, toMac, vlan, pad }: LinkFields, layer: layers.Layer): Uint8Array {
  const tags = vlan === undefined ? [] : typeof vlan === 'number' ? [vlan] : vlan;
  let payload = layer;
  for (const [index, id] of [...tags].reverse().entries()) {
    payload = layers.vlan({ id, tag: index === 0 ? 0x8100 : 0x88a8, payload });
  }
  return layers.ethernet({ ...given({ source: fromMac, destination: toMac, pad }), payload });
}

const FLAGS = 'FSRP.UEW';

function flagBits(text: string): number {
  const bits = Array.from(text, (flag) => FLAGS.indexOf(flag));
  if (bits.includes(-1)) throw new TypeError(`flags "${text}": only ${[...FLAGS].join(' ')}`);
  return bits.reduce((flags, bit) => flags | (1 << bit), 0);
}

function payloadOf({ payload }: { payload?: Uint8Array | string }): { payload?: Uint8Array } {
  if (payload === undefined) return {};
  return { payload: typeof payload === 'string' ? new TextEncoder().encode(payload) : payload };
}

type Given<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> };

/** The fields that are there: a layer's defaults stand for those that are undefined. */
function given<T extends object>(fields: T): Given<T> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as Given<T>;
}
