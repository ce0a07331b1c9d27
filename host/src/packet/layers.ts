/**
 * Packets header by header, from the outside in, with right lengths and checksums:
 *
 * ```ts
 * const query = udp({ destinationPort: 53, payload: dnsQuery('a.example') });
 * const packet = ethernet({ payload: ipv4({ payload: query }) });
 * ```
 *
 * Each function but `ethernet` returns a layer; what encloses it asks it for its number and its
 * bytes. Any field can be given, a wrong one too: that is how malformed packets are made.
 */
export { DEFAULTS, type Layer, type Pseudo, raw } from './layer.js';
export {
  type ArpFields,
  arp,
  type EthernetFields,
  ethernet,
  type VlanFields,
  vlan,
} from './link.js';
export {
  authentication,
  EXTENSION,
  extension,
  fragment,
  type Ipv4Fields,
  type Ipv6Fields,
  ipv4,
  ipv6,
} from './network.js';
export {
  type IcmpFields,
  icmp,
  icmpv6,
  type TcpFields,
  tcp,
  type UdpFields,
  udp,
} from './transport.js';
