/** Packets that the host makes itself: for `bench` without a file and for the demo. */

const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const UDP_BYTES = 8;
const DNS_PORT = 53;

export interface UdpFields {
  /** `10.0.0.1`. */
  from: string;
  to: string;
  fromPort: number;
  toPort: number;
  payload: Uint8Array;
}

/**
 * An Ethernet frame with IPv4 and UDP, checksums included.
 *
 * ```ts
 * const payload = dnsQuery('a.example', 1);
 * udpPacket({ from: '10.0.0.1', to: '10.0.0.53', fromPort: 4000, toPort: 53, payload });
 * ```
 */
export function udpPacket({ from, to, fromPort, toPort, payload }: UdpFields): Uint8Array {
  const packet = new Uint8Array(ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES + payload.length);
  const view = new DataView(packet.buffer);
  packet.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00]);
  const ip = ETHERNET_BYTES;
  view.setUint8(ip, 0x45);
  view.setUint16(ip + 2, packet.length - ip);
  view.setUint8(ip + 8, 64);
  view.setUint8(ip + 9, 17);
  packet.set(address(from), ip + 12);
  packet.set(address(to), ip + 16);
  view.setUint16(ip + 10, checksum(packet.subarray(ip, ip + IPV4_BYTES), 0));
  const udp = ip + IPV4_BYTES;
  view.setUint16(udp, fromPort);
  view.setUint16(udp + 2, toPort);
  view.setUint16(udp + 4, packet.length - udp);
  packet.set(payload, udp + UDP_BYTES);
  // The pseudo header: both addresses, protocol and length (RFC 768).
  const pseudo = sum(packet.subarray(ip + 12, ip + 20)) + 17 + packet.length - udp;
  view.setUint16(udp + 6, checksum(packet.subarray(udp), pseudo) || 0xffff);
  return packet;
}

/** A query for the A record of `name` (RFC 1035, 4.1). */
export function dnsQuery(name: string, id: number): Uint8Array {
  const labels = name
    .split('.')
    .flatMap((label) => [label.length, ...Buffer.from(label, 'latin1')]);
  const header = [id >>> 8, id & 0xff, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
  return Uint8Array.from([...header, ...labels, 0, 0, 1, 0, 1]);
}

/** What `udpPacket` made, in one line. */
export function describePacket(packet: Uint8Array): string {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const ip = ETHERNET_BYTES;
  const udp = ip + IPV4_BYTES;
  const dotted = (at: number) => [...packet.subarray(at, at + 4)].join('.');
  const port = view.getUint16(udp + 2);
  const dns = port === DNS_PORT ? `  DNS? ${questionName(packet.subarray(udp + UDP_BYTES))}` : '';
  return `${dotted(ip + 12)} > ${dotted(ip + 16)}  UDP ${port}  ${packet.length} bytes${dns}`;
}

/** The name that a query asks for. */
export function questionName(message: Uint8Array): string {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(Buffer.from(message.subarray(at + 1, at + 1 + length)).toString('latin1'));
    at += 1 + length;
  }
  return labels.join('.');
}

function address(text: string): number[] {
  return text.split('.').map(Number);
}

/** Big-endian 16-bit words of `bytes`, added up. */
function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    total += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  }
  return total;
}

/** The Internet checksum (RFC 1071). */
function checksum(bytes: Uint8Array, start: number): number {
  let total = start + sum(bytes);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return ~total & 0xffff;
}
