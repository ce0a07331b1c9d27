import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  decodeCapture,
  decodeRecords,
  encodeCapture,
  encodeRecords,
  readCapture,
} from '../src/capture-file.js';
import { udp } from '../src/packet/packets.js';

const folder = mkdtempSync(join(tmpdir(), 'wirelet-capture-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

const PACKET = udp();

describe('capture files', () => {
  it('are read as they were written, and no further than asked', () => {
    const packets = [PACKET, Uint8Array.of(1, 2, 3), PACKET];
    const file = encodeCapture(packets, 5);
    expect(decodeCapture(file).map((packet) => [...packet])).toEqual(packets.map((p) => [...p]));
    expect(decodeCapture(file, 2)).toHaveLength(2);
    expect(decodeCapture(file.subarray(0, file.length - 1))).toHaveLength(2);
    expect(() => decodeCapture(new Uint8Array(24))).toThrow('not a file that Wirelet wrote');
    file[20] = 101;
    expect(() => decodeCapture(file)).toThrow('not a file that Wirelet wrote');
  });

  it('keep times to the microsecond', () => {
    const times = [5_000_000, 5_001_000, 1_767_225_600_123_456];
    const records = times.map((timeUs) => ({ bytes: PACKET, timeUs }));
    expect(decodeRecords(encodeRecords(records)).map(({ timeUs }) => timeUs)).toEqual(times);
    expect(decodeRecords(encodeCapture([PACKET, PACKET], 5)).map(({ timeUs }) => timeUs)).toEqual(
      times.slice(0, 2),
    );
  });

  it('of another form are read by the device', async () => {
    const path = join(folder, 'big-endian.pcap');
    const file = encodeCapture([PACKET, udp({ payload: 'two' })], 5);
    const view = new DataView(file.buffer);
    for (let at = 24; at < file.length; at += 16 + view.getUint32(at + 12, false)) {
      for (const field of [0, 4, 8, 12])
        view.setUint32(at + field, view.getUint32(at + field, true));
    }
    for (const at of [0, 16, 20]) view.setUint32(at, view.getUint32(at, true));
    for (const at of [4, 6]) view.setUint16(at, view.getUint16(at, true));
    writeFileSync(path, file);
    expect(await readCapture(path)).toEqual([PACKET, udp({ payload: 'two' })]);
    expect(await readCapture(path, 1)).toEqual([PACKET]);
    await expect(readCapture(join(folder, 'none.pcap'))).rejects.toMatchObject({
      code: 'WIRELET_E_DEVICE_OPEN',
    });
  });
});
