/**
 * Capture files as Wirelet itself writes them: pcap, little-endian, Ethernet. Every other form is
 * the native `pcap` device's business.
 */
import { WireletError } from './error.js';

const MAGIC = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const LINK_ETHERNET = 1;
const SNAP_BYTES = 262144;
const HEADER_BYTES = 24;
const RECORD_BYTES = 16;

/** Packets of a file, one millisecond apart. */
export function encodeCapture(packets: readonly Uint8Array[], startSeconds: number): Uint8Array {
  const size = packets.reduce((sum, { length }) => sum + RECORD_BYTES + length, HEADER_BYTES);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, SNAP_BYTES, true);
  view.setUint32(20, LINK_ETHERNET, true);
  let at = HEADER_BYTES;
  for (const [index, packet] of packets.entries()) {
    view.setUint32(at, startSeconds + Math.floor(index / 1000), true);
    view.setUint32(at + 4, (index % 1000) * 1000, true);
    view.setUint32(at + 8, packet.length, true);
    view.setUint32(at + 12, packet.length, true);
    file.set(packet, at + RECORD_BYTES);
    at += RECORD_BYTES + packet.length;
  }
  return file;
}

/** The first `most` packets of such a file. @throws WIRELET_E_PCAP_FORMAT for any other form */
export function decodeCapture(file: Uint8Array, most = Number.POSITIVE_INFINITY): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const magic = file.length < HEADER_BYTES ? 0 : view.getUint32(0, true);
  if (magic !== MAGIC && magic !== MAGIC_NANOSECONDS)
    throw new WireletError('WIRELET_E_PCAP_FORMAT', 'not a file that Wirelet wrote');
  const packets: Uint8Array[] = [];
  let at = HEADER_BYTES;
  while (at + RECORD_BYTES <= file.length && packets.length < most) {
    const start = at + RECORD_BYTES;
    at = start + view.getUint32(at + 8, true);
    if (at <= file.length) packets.push(file.subarray(start, at));
  }
  return packets;
}
