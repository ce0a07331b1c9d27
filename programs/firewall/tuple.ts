// Whose packet it is: the ends of a flow, as rules and tables see them.

import { Packet } from '@wirelet/runtime';

/** Marks the end that answers a query, such as an echo; beside it stands the query's type. */
const ANSWERING: u32 = 1 << 16;

/**
 * Addresses, protocol and ports of a packet. IPv4 addresses are in the low words, and the high
 * words are 0. Ports are those of TCP and UDP; queries of ICMP have their identifier at the end
 * that asks, and at the other end a number that is no port: so two hosts may ask each other with
 * one identifier.
 */
@final
export class Tuple {
  isIpv6: bool = false;
  /** By number; ICMP of IPv6 is 58. */
  protocol: u32 = 0;
  /** Port of arrival. */
  arrival: u32 = 0;
  sourceHigh: u64 = 0;
  sourceLow: u64 = 0;
  destinationHigh: u64 = 0;
  destinationLow: u64 = 0;
  sourcePort: u32 = 0;
  destinationPort: u32 = 0;
  /** The source comes behind the destination. Both directions agree on which end comes first. */
  isTurned: bool = false;

  /** Takes the addresses of the IPv4 header at `offset`; its 20 bytes are in the packet. */
  readIpv4(packet: Packet, offset: u32): void {
    this.isIpv6 = false;
    this.sourceHigh = 0;
    this.sourceLow = packet.readU32(offset + 12);
    this.destinationHigh = 0;
    this.destinationLow = packet.readU32(offset + 16);
  }

  /** Takes the addresses of the IPv6 header at `offset`; its 40 bytes are in the packet. */
  readIpv6(packet: Packet, offset: u32): void {
    this.isIpv6 = true;
    this.sourceHigh = packet.readU64(offset + 8);
    this.sourceLow = packet.readU64(offset + 16);
    this.destinationHigh = packet.readU64(offset + 24);
    this.destinationLow = packet.readU64(offset + 32);
  }

  /** Takes the ports of TCP or UDP at `offset`; 4 bytes are in the packet. */
  readPorts(packet: Packet, offset: u32): void {
    const ports = packet.readU32(offset);
    this.sourcePort = ports >> 16;
    this.destinationPort = ports & 0xffff;
  }

  /** Of protocols without ports. */
  clearPorts(): void {
    this.sourcePort = 0;
    this.destinationPort = 0;
  }

  /** A query of this type, or an answer to one. */
  setQuery(type: u32, identifier: u32, isAnswer: bool): void {
    this.sourcePort = isAnswer ? ANSWERING | type : identifier;
    this.destinationPort = isAnswer ? identifier : ANSWERING | type;
  }

  /** Finds out which end comes first; returns {@link isTurned}. */
  turn(): bool {
    this.isTurned = this.isSourceSecond();
    return this.isTurned;
  }

  /** By address, then by port. */
  private isSourceSecond(): bool {
    if (this.sourceLow != this.destinationLow) return this.sourceLow > this.destinationLow;
    if (this.sourceHigh != this.destinationHigh) return this.sourceHigh > this.destinationHigh;
    return this.sourcePort > this.destinationPort;
  }
}
