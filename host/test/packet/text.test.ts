import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { encodeCapture } from '../../src/capture-file.js';
import { hex } from '../../src/packet/bytes.js';
import { dnsMessage, dnsQuery } from '../../src/packet/dns.js';
import { fieldsOf } from '../../src/packet/fields.js';
import { headersOf } from '../../src/packet/headers.js';
import { ethernet, ipv4, raw, udp as udpLayer } from '../../src/packet/layers.js';
import { arp, icmp, tcp, udp } from '../../src/packet/packets.js';
import { packetText } from '../../src/packet/text.js';

/** An oracle of tests only; the properties around it hold without. */
const hasTcpdump = spawnSync('tcpdump', ['--version']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'wirelet-text-'));
afterAll(() => rmSync(folder, { recursive: true }));

const QUERY = dnsQuery('ads.example');
const SIX = { from: '[2001:db8::1]:4000', to: '[2001:db8::2]:443' };

/** Packets, and what is said of them. */
const LINES: [Uint8Array, string][] = [
  [udp({ payload: 'abc' }), 'IP 192.0.2.1.40000 > 198.51.100.2.9: UDP, length 3'],
  [
    udp({ from: '10.0.0.1:1000', to: '192.0.2.53:53', payload: QUERY }),
    'IP 10.0.0.1.1000 > 192.0.2.53.53: 4660+ A? ads.example. (29)',
  ],
  [
    udp({ to: '192.0.2.53:53', payload: dnsQuery('', { type: 28, flags: 0 }) }),
    'IP 192.0.2.1.40000 > 192.0.2.53.53: 4660 AAAA? . (17)',
  ],
  [
    udp({ from: '192.0.2.53:53', payload: dnsQuery('a.b', { flags: 0x8583 }) }),
    'IP 192.0.2.53.53 > 198.51.100.2.9: 4660 NXDomain* 0/0/0 (21)',
  ],
  [
    tcp({ ...SIX, payload: '' }),
    'IP6 2001:db8::1.4000 > 2001:db8::2.443: Flags [S], seq 1, win 65535, length 0',
  ],
  [
    tcp({ to: '192.0.2.9:4433', flags: 'P.', sequence: 5, acknowledgment: 9, payload: 'hello' }),
    'IP 192.0.2.1.40000 > 192.0.2.9.4433: Flags [P.], seq 5:10, ack 9, win 65535, length 5',
  ],
  [
    tcp({ to: '192.0.2.9:22', options: hex('020405b4 01 030307 0402 080a0000000100000002') }),
    'IP 192.0.2.1.40000 > 192.0.2.9.22: Flags [S], seq 1, win 65535, options ' +
      '[mss 1460,nop,wscale 7,sackOK,TS val 1 ecr 2], length 0',
  ],
  [
    tcp({ flags: '.' }),
    'IP 192.0.2.1.40000 > 198.51.100.2.80: Flags [.], ack 0, win 65535, length 0',
  ],
  [tcp({ flags: '' }), 'IP 192.0.2.1.40000 > 198.51.100.2.80: Flags [none], win 65535, length 0'],
  [icmp(), 'IP 192.0.2.1 > 198.51.100.2: ICMP echo request, id 1, seq 1, length 8'],
  [
    icmp({ from: '2001:db8::1', type: 129, payload: 'ab' }),
    'IP6 2001:db8::1 > 2001:db8::2: ICMP6, echo reply, id 1, seq 1, length 10',
  ],
  [arp(), 'ARP, Request who-has 198.51.100.2 tell 192.0.2.1, length 46'],
  [arp({ operation: 'reply', pad: 0 }), 'ARP, Reply 192.0.2.1 is-at 02:00:00:00:00:01, length 28'],
  [
    ethernet({ payload: ipv4({ payload: udpLayer(), fragmentOffset: 8 }) }),
    'IP 192.0.2.1 > 198.51.100.2: ip-proto-17',
  ],
];

describe('a packet in a line', () => {
  it.each(LINES)('%#', (packet, line) => {
    expect(packetText(packet)).toBe(line);
  });

  it('with its link', () => {
    const macs = '02:00:00:00:00:01 > 02:00:00:00:00:02';
    expect(packetText(udp({ vlan: [5, 7], pad: 0 }), { link: true })).toBe(
      `${macs}, ethertype 802.1Q-QinQ (0x88a8), length 50: vlan 5, p 0, ` +
        'ethertype 802.1Q (0x8100), vlan 7, p 0, ethertype IPv4 (0x0800), ' +
        '192.0.2.1.40000 > 198.51.100.2.9: UDP, length 0',
    );
    expect(packetText(ethernet({ type: 0x88cc }), { link: true })).toBe(
      `${macs}, ethertype LLDP (0x88cc), length 60: LLDP`,
    );
    expect(packetText(ethernet({ payload: raw(hex('0102'), 0x88b5), pad: 0 }))).toBe(
      'ethertype Unknown (0x88b5), length 16',
    );
  });

  it.skipIf(!hasTcpdump)('is what tcpdump says', () => {
    const path = join(folder, 'all.pcap');
    const tagged = [udp({ vlan: 7 }), udp({ vlan: [5, 7] }), arp(), icmp(), tcp(SIX)];
    const packets = [...LINES.map(([packet]) => packet), ...tagged];
    writeFileSync(path, encodeCapture(packets, 1_767_225_600));
    const read = (...flags: string[]) =>
      execFileSync('tcpdump', ['-nn', '-t', '-S', ...flags, '-r', path], { stdio: 'pipe' })
        .toString()
        .trimEnd()
        .split('\n');
    const count = LINES.length;
    expect(read().slice(0, count)).toEqual(LINES.map(([, line]) => line));
    const linked = packets.map((packet) => packetText(packet, { link: true }));
    expect(read('-e')).toEqual(linked);
    expect(read('-vv').join('\n')).not.toMatch(/bad|incorrect|wrong/);
  });

  it('is there for any bytes, and so are its headers and fields, without gaps', () => {
    const sound = fc.constantFrom(...LINES.map(([packet]) => packet));
    const damaged = fc
      .tuple(sound, fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }), fc.nat(80))
      .map(([packet, changes, cut]) => {
        const bytes = packet.slice();
        for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
        return bytes.slice(0, cut < 60 ? cut : undefined);
      });
    fc.assert(
      fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 100 })), (packet) => {
        expect(packetText(packet)).toMatch(/\S/);
        expect(packetText(packet, { link: true })).not.toMatch(/undefined|NaN/);
        for (const parts of [headersOf(packet).list, fieldsOf(packet)]) {
          let at = 0;
          for (const { start, end } of parts) {
            expect(start).toBe(at);
            expect(end).toBeGreaterThan(start);
            at = end;
          }
          expect(at).toBe(packet.length);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('of DNS that is cut or has more in it', () => {
    const dns = (payload: Uint8Array) =>
      packetText(udp({ to: '192.0.2.53:53', payload })).slice(36);
    expect(dns(QUERY.slice(0, 11))).toBe('UDP, length 11');
    expect(dns(dnsQuery('a\u001b[2J'))).toBe('4660+ A? a?[2J. (23)');
    expect(dns(QUERY.slice(0, 20))).toBe('4660+ (20)');
    expect(dns(dnsMessage(hex('c00c 0001 0001')))).toBe('4660+ (18)');
    expect(dns(dnsQuery('x', { questions: 2, flags: 0x2000 }))).toBe('4660 notify [2q] A? x. (19)');
  });
});
