import { Checksum } from './checksum';
import { EthernetPayload } from './ethernetpayload';
import { IpPayload } from './ippayload';
import { Ipv4 } from './ipv4';
import { Ipv6 } from './ipv6';
import { Network } from './network';
import { Packet } from './packet';
import { Protocol } from './protocol';

// In memory order: type 0x0800 and version 4 with a header of 20 bytes; protocol and the fragment
// offset with the 8 bits between them out.
const PLAIN_IPV4: u32 = 0x45_0008;
const PLAIN_IPV4_MASK: u32 = 0xff_ffff;
const PROTOCOL_AND_OFFSET_MASK: u32 = 0xff00_ff1f;
const PLAIN_OFFSET: u32 = 34;

const UDP_BYTES: u32 = 8;
const UDP_LENGTH: usize = 4;

/** TCP, UDP and ICMP as one: where their header is, and the checksum over all they carry. */
export class Transport {
  /**
   * For views: address of the header of this protocol, of which `bytes` are inside the packet, or
   * 0. The lengths in IP headers are not looked at. An untagged IPv4 packet without options, as
   * most are, costs two masked comparisons and the length; {@link IpPayload} looks for the rest.
   */
  @inline
  static find(packet: Packet, protocol: Protocol, bytes: u32): usize {
    const at = packet.address;
    if (
      packet.length >= PLAIN_OFFSET + bytes &&
      (load<u32>(at, 12) & PLAIN_IPV4_MASK) == PLAIN_IPV4
    ) {
      const word = load<u32>(at, 20) & PROTOCOL_AND_OFFSET_MASK;
      return word == (<u32>(<i32>protocol)) << 24 ? at + PLAIN_OFFSET : 0;
    }
    return search(packet, protocol, bytes);
  }

  /**
   * Whether the TCP, UDP, ICMP or ICMPv6 checksum of the packet is right: a sum over header and
   * payload. False also when there is nothing to sum: another protocol, a fragment, a packet that
   * is cut off. An IPv6 routing header that is not used up makes it false (RFC 8200, 8.1).
   *
   * ```ts
   * if (!Transport.isChecksumGood(packet)) return Verdict.Drop;
   * ```
   */
  static isChecksumGood(packet: Packet): bool {
    const payload = whole(packet);
    if (payload == null) return false;
    const field = packet.address + <usize>(payload.offset + checksumOffset(payload.protocol));
    // UDP may leave it out over IPv4 (RFC 768), and must not over IPv6 (RFC 8200, 8.1).
    if (payload.protocol == Protocol.Udp && load<u16>(field) == 0) return payload.version == 4;
    return Checksum.finish(sum(packet, payload)) == 0;
  }

  /** Computes that checksum anew and writes it; false, and unchanged, when it cannot be. */
  static fillChecksum(packet: Packet): bool {
    const payload = whole(packet);
    if (payload == null) return false;
    const field = packet.address + <usize>(payload.offset + checksumOffset(payload.protocol));
    store<u16>(field, 0);
    let value = Checksum.finish(sum(packet, payload));
    // 0 would say "no checksum" (RFC 768).
    if (value == 0 && payload.protocol == Protocol.Udp) value = 0xffff;
    store<u16>(field, Network.swap16(<u16>value));
    return true;
  }
}

function search(packet: Packet, protocol: Protocol, bytes: u32): usize {
  const payload = IpPayload.of(packet);
  if (payload == null || payload.protocol != protocol || payload.isLaterFragment) return 0;
  if (!packet.has(payload.offset, bytes)) return 0;
  return packet.address + <usize>payload.offset;
}

/** Where the checksum is in the header; 0 for a protocol that has none of this kind. */
function checksumOffset(protocol: Protocol): u32 {
  if (protocol == Protocol.Tcp) return 16;
  if (protocol == Protocol.Udp) return 6;
  return protocol == Protocol.Icmp || protocol == Protocol.Icmpv6 ? 2 : 0;
}

/** The payload when it has a checksum and is all there. */
function whole(packet: Packet): IpPayload | null {
  const payload = IpPayload.of(packet);
  if (payload == null || payload.isFragment) return null;
  const field = checksumOffset(payload.protocol);
  if (field == 0 || payload.protocol == (payload.version == 4 ? Protocol.Icmpv6 : Protocol.Icmp)) {
    return null;
  }
  const end = transportEnd(packet, payload);
  return end >= payload.offset + field + 2 && packet.has(0, end) ? payload : null;
}

/**
 * Where what the checksum covers ends; 0 when that is not all there. IP may have bytes behind a
 * UDP datagram (RFC 9868).
 */
function transportEnd(packet: Packet, payload: IpPayload): u32 {
  const end = ipEnd(packet, payload);
  if (payload.protocol != Protocol.Udp || end < payload.offset + UDP_BYTES) return end;
  const length = load<u16>(packet.address + <usize>payload.offset, UDP_LENGTH);
  const last = payload.offset + Network.swap16(length);
  return last > end ? 0 : last;
}

/** Where the IP packet ends by its own length; 0 when there is no view of its header. */
function ipEnd(packet: Packet, payload: IpPayload): u32 {
  const offset = EthernetPayload.of(packet).offset;
  if (payload.version == 4) {
    const ip = Ipv4.of(packet, offset);
    return ip == null ? 0 : offset + ip.totalLength;
  }
  const ip = Ipv6.of(packet, offset);
  return ip == null ? 0 : offset + 40 + ip.payloadLength;
}

/** The sum over pseudo header (RFC 9293, 3.1; RFC 8200, 8.1), header and payload. */
function sum(packet: Packet, payload: IpPayload): u64 {
  const ip = packet.address + <usize>EthernetPayload.of(packet).offset;
  const bytes = transportEnd(packet, payload) - payload.offset;
  const covered = Checksum.sum(packet.address + <usize>payload.offset, bytes);
  if (payload.protocol == Protocol.Icmp) return covered;
  const addresses = payload.version == 4 ? Checksum.sum(ip + 12, 8) : Checksum.sum(ip + 8, 32);
  const protocol = Network.swap32(<u32>(<i32>payload.protocol));
  return covered + addresses + Network.swap32(bytes) + protocol;
}
