// pcap files (draft-ietf-opsawg-pcap): what tests write and read. The native `pcap` device reads
// much more; this keeps to one form, microseconds and little-endian, link type Ethernet.

const MAGIC = 0xa1b2c3d4;
const LINK_ETHERNET = 1;
const SNAP_BYTES = 262144;
const HEADER_BYTES = 24;
const RECORD_BYTES = 16;

/** A packet of a file. */
export interface Record {
  bytes: Uint8Array;
  /** Microseconds since 1970. */
  timeUs: number;
}

/**
 * The bytes of a pcap file with these packets, a millisecond apart from 2026-01-01 on. What is no
 * packet takes its time and leaves no record, as a packet that was dropped does.
 */
export function writePcap(packets: readonly (Uint8Array | string)[]): Uint8Array {
  const startUs = Date.UTC(2026, 0, 1) * 1000;
  return writeRecords(
    packets.flatMap((bytes, i) =>
      typeof bytes === 'string' ? [] : [{ bytes, timeUs: startUs + i * 1000 }],
    ),
  );
}

/** The bytes of a pcap file with these packets and times. */
export function writeRecords(records: readonly Record[]): Uint8Array {
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

/** The packets of a file that {@link writePcap} or {@link writeRecords} wrote. */
export function readPcap(file: Uint8Array): Record[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint32(0, true) !== MAGIC || view.getUint32(20, true) !== LINK_ETHERNET) {
    throw new Error('not a little-endian Ethernet pcap file with microseconds');
  }
  const records: Record[] = [];
  for (let at = HEADER_BYTES; at + RECORD_BYTES <= file.length; ) {
    const timeUs = view.getUint32(at, true) * 1e6 + view.getUint32(at + 4, true);
    const start = at + RECORD_BYTES;
    at = start + view.getUint32(at + 8, true);
    records.push({ bytes: file.slice(start, at), timeUs });
  }
  return records;
}
