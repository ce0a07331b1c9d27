// What ICMP messages are to a firewall (RFC 792, RFC 4443), and the flow that an error is about.

import { IpPayload, Packet, Protocol } from '@wirelet/runtime';
import { Flows } from './flows';
import { Tuple } from './tuple';

export enum Message {
  /** Neither: nobody behind a firewall needs it. */
  Unknown = 0,
  Query,
  Answer,
  /** About a packet, of which it has the beginning. */
  Error,
  /** How IPv6 finds its neighbours and routers, as ARP does. */
  Neighbour,
  /** Between a host and its routers; belongs to no flow. */
  Local,
}

const inner = new Tuple();

export class Icmp {
  static messageOf(type: u32, isIpv6: bool): Message {
    return isIpv6 ? messageOf6(type) : messageOf4(type);
  }

  /** The type of the query that a message of `type` is an answer to. */
  static queryOf(type: u32): u32 {
    // Answers come one behind their query, but for IPv4's echo.
    return type == 0 ? 8 : type - 1;
  }

  /**
   * Whether an error goes to the sender of the packet that it is about, and that packet belongs to
   * a flow. `offset` is where the error has that packet. The flow does not live longer by it.
   */
  static isRelated(packet: Packet, offset: u32, error: Tuple): bool {
    const isReadable = error.isIpv6 ? readInner6(packet, offset) : readInner4(packet, offset);
    if (!isReadable || Flows.find(inner) == null) return false;
    return inner.sourceHigh == error.destinationHigh && inner.sourceLow == error.destinationLow;
  }
}

function messageOf4(type: u32): Message {
  if (type == 8 || type == 13 || type == 15 || type == 17) return Message.Query;
  if (type == 0 || type == 14 || type == 16 || type == 18) return Message.Answer;
  // Not source quench (RFC 6633) and not redirect, which only a host's own router may send.
  return type == 3 || type == 11 || type == 12 ? Message.Error : Message.Unknown;
}

function messageOf6(type: u32): Message {
  if (type == 128) return Message.Query;
  if (type == 129) return Message.Answer;
  if (type >= 1 && type <= 4) return Message.Error;
  if (type >= 133 && type <= 136) return Message.Neighbour;
  // Multicast listeners.
  return (type >= 130 && type <= 132) || type == 143 ? Message.Local : Message.Unknown;
}

function readInner4(packet: Packet, offset: u32): bool {
  const payload = IpPayload.ofIpv4(packet, offset);
  if (payload == null || payload.isLaterFragment) return false;
  inner.readIpv4(packet, offset);
  inner.protocol = payload.protocol;
  return readInnerPorts(packet, payload.offset);
}

function readInner6(packet: Packet, offset: u32): bool {
  const payload = IpPayload.ofIpv6(packet, offset);
  if (payload == null || payload.isLaterFragment) return false;
  inner.readIpv6(packet, offset);
  inner.protocol = payload.protocol;
  return readInnerPorts(packet, payload.offset);
}

/** 8 bytes of the inner payload are there, or it is no error that can be held against a flow. */
function readInnerPorts(packet: Packet, offset: u32): bool {
  if (!packet.has(offset, 8)) return false;
  const protocol = inner.protocol;
  if (protocol == Protocol.Tcp || protocol == Protocol.Udp) {
    inner.readPorts(packet, offset);
  } else if (protocol == (inner.isIpv6 ? Protocol.Icmpv6 : Protocol.Icmp)) {
    const type = packet.readU8(offset);
    const message = Icmp.messageOf(type, inner.isIpv6);
    if (message != Message.Query && message != Message.Answer) return false;
    const isAnswer = message == Message.Answer;
    const query = isAnswer ? Icmp.queryOf(type) : type;
    inner.setQuery(query, packet.readU16(offset + 4), isAnswer);
  } else {
    inner.clearPorts();
  }
  return true;
}
