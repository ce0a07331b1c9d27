/**
 * Capture files as Wirelet itself writes them: pcap, little-endian, Ethernet. Every other form is
 * the native `pcap` device's business; {@link readCapture} asks it.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WireletError } from './error.js';
import { replay } from './replay.js';

const MAGIC = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const LINK_ETHERNET = 1;
const SNAP_BYTES = 262144;
const HEADER_BYTES = 24;
const RECORD_BYTES = 16;

export interface CaptureRecord {
  bytes: Uint8Array;
  /** Microseconds since 1970. */
  timeUs: number;
}

/** A file of packets, one millisecond apart. */
export function encodeCapture(packets: readonly Uint8Array[], startSeconds: number): Uint8Array {
  const startUs = startSeconds * 1e6;
  return encodeRecords(packets.map((bytes, index) => ({ bytes, timeUs: startUs + index * 1000 })));
}

/** A file of packets with their times. */
export function encodeRecords(records: readonly CaptureRecord[]): Uint8Array {
  const size = records.reduce((sum, { bytes }) => sum + RECORD_BYTES + bytes.length, HEADER_BYTES);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, SNAP_BYTES, true);
  view.setUint32(20, LINK_ETHERNET, true);
  let at = HEADER_BYTES;
  for (const { bytes, timeUs } of records) {
    view.setUint32(at, Math.floor(timeUs / 1e6), true);
    view.setUint32(at + 4, timeUs % 1e6, true);
    view.setUint32(at + 8, bytes.length, true);
    view.setUint32(at + 12, bytes.length, true);
    file.set(bytes, at + RECORD_BYTES);
    at += RECORD_BYTES + bytes.length;
  }
  return file;
}

/** The first `most` packets of such a file. @throws WIRELET_E_PCAP_FORMAT for any other form */
export function decodeCapture(file: Uint8Array, most = Number.POSITIVE_INFINITY): Uint8Array[] {
  return decodeRecords(file, most).map(({ bytes }) => bytes);
}

/** As {@link decodeCapture}, with the times. */
export function decodeRecords(file: Uint8Array, most = Number.POSITIVE_INFINITY): CaptureRecord[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const magic = file.length < HEADER_BYTES ? 0 : view.getUint32(0, true);
  const isOurs = magic === MAGIC || magic === MAGIC_NANOSECONDS;
  if (!isOurs || view.getUint32(20, true) !== LINK_ETHERNET) {
    throw new WireletError('WIRELET_E_PCAP_FORMAT', 'not a file that Wirelet wrote');
  }
  // A Buffer's parts would be Buffers, which compare and print in their own way.
  const plain = new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
  const perUs = magic === MAGIC ? 1 : 1000;
  const records: CaptureRecord[] = [];
  let at = HEADER_BYTES;
  while (at + RECORD_BYTES <= file.length && records.length < most) {
    const start = at + RECORD_BYTES;
    const timeUs = view.getUint32(at, true) * 1e6 + view.getUint32(at + 4, true) / perUs;
    at = start + view.getUint32(at + 8, true);
    if (at <= file.length) records.push({ bytes: plain.subarray(start, at), timeUs });
  }
  return records;
}

/**
 * The first packets of a capture file of any form: the native reader turns it into the form that
 * the host reads.
 * @throws WIRELET_E_DEVICE_OPEN, WIRELET_E_PCAP_FORMAT
 */
export async function readCapture(
  file: string,
  most = Number.POSITIVE_INFINITY,
): Promise<Uint8Array[]> {
  const folder = mkdtempSync(join(tmpdir(), 'wirelet-capture-'));
  try {
    const copy = join(folder, 'packets.pcap');
    const { packets, errors } = await replay({ programs: [], in: file, out: copy });
    const [error] = errors;
    if (packets > 0) return decodeCapture(readFileSync(copy), most);
    throw error ?? new WireletError('WIRELET_E_PCAP_FORMAT', `${file} has no Ethernet packets`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
