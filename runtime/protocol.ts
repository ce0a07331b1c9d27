/** What an IP packet carries: IPv4's protocol, IPv6's next header (IANA, protocol numbers). */
export enum Protocol {
  HopByHop = 0,
  Icmp = 1,
  Igmp = 2,
  Tcp = 6,
  Udp = 17,
  Routing = 43,
  Fragment = 44,
  Gre = 47,
  Esp = 50,
  Authentication = 51,
  Icmpv6 = 58,
  NoNext = 59,
  Destination = 60,
  Ospf = 89,
  Sctp = 132,
  Mobility = 135,
}
