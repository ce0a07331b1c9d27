// The gallery against tshark, over every capture there is. Needs Debian's tshark package.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import type { CaptureRecord } from '../host/src/capture-file.js';
import { Guest, type Outcome } from '../runtime/test/guest.js';
import { type Decoded, decode, isInstalled, readCaptures } from './testing/tshark.js';

const FOLDER = fileURLToPath(new URL('../../shared/captures', import.meta.url));
const BLOCKED = ['com', 'nai.nameserver', 'in-addr.arpa', 'local'];

interface Capture {
  packets: CaptureRecord[];
  decoded: Decoded[];
}

const captures = new Map<string, Capture>();

describe.skipIf(!existsSync(FOLDER) || !isInstalled())('file by file, as tshark says', () => {
  beforeAll(() => {
    const files = readCaptures(FOLDER);
    const all = [...files.values()].flat();
    const decoded = decode(all);
    expect(decoded.length).toBe(all.length);
    let at = 0;
    for (const [name, packets] of files) {
      // Shorter packets are none and longer ones fit no descriptor: devices drop both.
      const rows = decoded.slice(at, at + packets.length);
      at += packets.length;
      const whole = packets.map(({ bytes }) => bytes.length >= 14 && bytes.length <= 65535);
      captures.set(name, {
        packets: packets.filter((_, i) => whole[i]),
        decoded: rows.filter((_, i) => whole[i]),
      });
    }
  }, 180_000);

  it('has captures to go by', () => {
    expect(captures.size).toBeGreaterThan(100);
  });

  it('count', { timeout: 180_000 }, async () => {
    const different: string[] = [];
    const count = await Guest.load('programs/count');
    let before: Record<string, number> = count.counters;
    for (const [name, { packets, decoded }] of captures) {
      count.run(packets.map(({ bytes }) => bytes));
      const after = count.counters;
      const seen = Object.fromEntries(
        Object.entries(after).map(([key, value]) => [key, value - (before[key] ?? 0)]),
      );
      before = after;
      const wanted = expectedCounts(decoded);
      if (JSON.stringify(seen) !== JSON.stringify(wanted)) {
        different.push(
          `${name}\n  ours   ${JSON.stringify(seen)}\n  tshark ${JSON.stringify(wanted)}`,
        );
      }
    }
    expect(different.join('\n')).toBe('');
  });

  it('dnsguard', { timeout: 180_000 }, async () => {
    const different: string[] = [];
    const guard = await Guest.load('programs/dnsguard', { blocked: BLOCKED });
    for (const [name, { packets, decoded }] of captures) {
      const outcomes = guard.run(
        // `Udp.find` does not look at the IP length.
        packets.filter((_, i) => !decoded[i]?.shortTotal).map(({ bytes }) => bytes),
      );
      const rows = decoded.filter((row) => !row.shortTotal);
      outcomes.forEach((outcome, i) => {
        const row = rows[i];
        if (row && outcome.verdict !== expectedVerdict(row)) {
          different.push(`${name} packet ${i + 1}: ${describeRow(outcome, row)}`);
        }
      });
    }
    expect(different.join('\n')).toBe('');
    expect(guard.counters.blocked).toBeGreaterThan(20);
    expect(guard.counters.queries).toBe(
      [...captures.values()].flatMap(({ decoded }) => decoded).filter(isQuery).length,
    );
  });
});

function expectedCounts(rows: readonly Decoded[]): Record<string, number> {
  const number = (test: (row: Decoded) => boolean): number => rows.filter(test).length;
  const type = (etherType: number): number => number((row) => row.etherType === etherType);
  const ip = (etherType: number, protocol: number): number =>
    number((row) => row.etherType === etherType && row.protocol === protocol);
  const [arp, ipv4, ipv6] = [type(0x0806), type(0x0800), type(0x86dd)];
  const tcp = ip(0x0800, 6) + ip(0x86dd, 6);
  const udp = ip(0x0800, 17) + ip(0x86dd, 17);
  const icmp = ip(0x0800, 1);
  const icmpv6 = ip(0x86dd, 58);
  return {
    packets: rows.length,
    vlan: number((row) => row.tagged),
    arp,
    ipv4,
    ipv6,
    other: rows.length - arp - ipv4 - ipv6,
    tcp,
    udp,
    icmp,
    icmpv6,
    ipOther: ipv4 + ipv6 - tcp - udp - icmp - icmpv6,
  };
}

function isQuery(row: Decoded): boolean {
  const isDns = row.protocol === 17 && !row.laterFragment && row.udpDestination === 53;
  return isDns && row.dns !== undefined && !row.dns.response && row.dns.opcode === 0;
}

function expectedVerdict(row: Decoded): Outcome['verdict'] {
  const names = isQuery(row) ? (row.dns?.names ?? []) : [];
  const listed = names.some((name) =>
    BLOCKED.some((blocked) => `.${name.toLowerCase()}`.endsWith(`.${blocked}`)),
  );
  return listed ? 'drop' : 'pass';
}

function describeRow(outcome: Outcome, row: Decoded): string {
  return `${outcome.verdict}, ${JSON.stringify(row)}`;
}
