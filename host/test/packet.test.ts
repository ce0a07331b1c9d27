import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { defaultTraffic } from '../src/bench.js';
import { decodeCapture, encodeCapture } from '../src/capture-file.js';
import { describePacket, dnsQuery, questionName, udpPacket } from '../src/packet.js';

/** An oracle of tests only; the properties above it hold without. */
const hasTcpdump = spawnSync('tcpdump', ['--version']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'wirelet-packet-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The Internet checksum over `bytes`, as a receiver adds it up: 0xffff when all is well. */
function checksumOf(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}

const QUERY = udpPacket({
  from: '10.0.0.1',
  to: '192.0.2.53',
  fromPort: 40000,
  toPort: 53,
  payload: dnsQuery('eu.tracker.example', 7),
});

describe('packets that the host makes', () => {
  it('have checksums that a receiver accepts, whatever they carry', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.ipV4(), (payload, from) => {
        const fields = { from, to: '192.0.2.7', fromPort: 1, toPort: 2, payload };
        const packet = udpPacket(fields);
        const pseudo = checksumOf(packet.subarray(26, 34)) + 17 + packet.length - 34;
        expect(checksumOf(packet.subarray(14, 34))).toBe(0xffff);
        expect(checksumOf(packet.subarray(34), pseudo)).toBe(0xffff);
      }),
    );
  });

  it('say in a line what they are', () => {
    expect(describePacket(QUERY)).toBe(
      '10.0.0.1 > 192.0.2.53  UDP 53  78 bytes  DNS? eu.tracker.example',
    );
    expect(questionName(dnsQuery('a.b', 1))).toBe('a.b');
  });

  it.skipIf(!hasTcpdump)('are what tcpdump reads out of the file that holds them', () => {
    const path = join(folder, 'query.pcap');
    writeFileSync(path, encodeCapture([QUERY, QUERY], 1_767_225_600));
    const text = execFileSync('tcpdump', ['-nn', '-vv', '-tt', '-r', path], { stdio: 'pipe' });
    expect(String(text)).toContain('1767225600.001000 IP');
    expect(String(text)).toContain('[udp sum ok] 7+ A? eu.tracker.example.');
  });

  it('of the bench: 64 bytes, none of them DNS', () => {
    const packets = defaultTraffic();
    expect(new Set(packets.map(({ length }) => length))).toEqual(new Set([64]));
    expect(packets.filter((packet) => packet[36] === 0 && packet[37] === 53)).toEqual([]);
  });
});

describe('capture files', () => {
  it('are read as they were written, and no further than asked', () => {
    const packets = [QUERY, Uint8Array.of(1, 2, 3), QUERY];
    const file = encodeCapture(packets, 5);
    expect(decodeCapture(file).map((packet) => [...packet])).toEqual(packets.map((p) => [...p]));
    expect(decodeCapture(file, 2)).toHaveLength(2);
    expect(decodeCapture(file.subarray(0, file.length - 1))).toHaveLength(2);
    expect(() => decodeCapture(new Uint8Array(24))).toThrow('not a file that Wirelet wrote');
  });
});
