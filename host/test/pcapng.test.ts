import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { decodeCapture } from '../src/capture-file.js';
import { udp } from '../src/packet/packets.js';
import { encodePcapng } from '../src/pcapng.js';
import { loadProgram } from '../src/program.js';
import { replay } from '../src/replay.js';

const COUNT = fileURLToPath(new URL('../../programs/count', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'wirelet-pcapng-'));
afterAll(() => rmSync(folder, { recursive: true }));

const packets = [0, 1, 2, 3].map((length) => udp({ payload: new Uint8Array(40 + length) }));

describe('a pcapng file of ours', () => {
  it('is read by the native device: every packet, whatever its length and comment', async () => {
    const input = join(folder, 'in.pcapng');
    const out = join(folder, 'out.pcap');
    const captured = packets.map((bytes, index) => ({
      bytes,
      timeNs: 1_700_000_000_123_456_789n + BigInt(index),
      interface: index % 2,
      comment: 'ü'.repeat(index * 3000),
    }));
    writeFileSync(input, encodePcapng(['current', 'candidate'], captured));
    const programs = [await loadProgram(COUNT)];
    const result = await replay({ programs, in: input, out });
    expect(result).toMatchObject({ packets: 4, skipped: {}, errors: [] });
    const written = decodeCapture(readFileSync(out));
    expect(written.map((bytes) => Buffer.from(bytes))).toEqual(packets.map((p) => Buffer.from(p)));
  });

  it('says what it is, block by block', () => {
    const bytes = Uint8Array.from({ length: 15 }, (_, index) => index);
    const file = encodePcapng(
      ['in'],
      [{ bytes, timeNs: (5n << 32n) + 6n, interface: 0, comment: 'why' }],
    );
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    const blocks: [number, number][] = [];
    for (let at = 0; at < file.length; ) {
      const length = view.getUint32(at + 4, true);
      expect(length % 4).toBe(0);
      // The length stands at both ends of a block, so that readers can go backwards.
      expect(view.getUint32(at + length - 4, true)).toBe(length);
      blocks.push([view.getUint32(at, true), at]);
      at += length;
    }
    expect(blocks.map(([type]) => type)).toEqual([0x0a0d0d0a, 1, 6]);
    const at = blocks[2]?.[1] ?? 0;
    expect([12, 16, 20, 24].map((offset) => view.getUint32(at + offset, true))).toEqual([
      5, 6, 15, 15,
    ]);
    expect(Buffer.from(file.subarray(at + 28, at + 43))).toEqual(Buffer.from(bytes));
    // An option of type 1, a comment, of 3 bytes.
    expect([view.getUint16(at + 44, true), view.getUint16(at + 46, true)]).toEqual([1, 3]);
    expect(Buffer.from(file.subarray(at + 48, at + 51)).toString()).toBe('why');
  });
});
