import { describe, expect, it } from 'vitest';
import { packetDifference } from '../../src/packet/difference.js';
import { arp, tcp, udp } from '../../src/packet/packets.js';

const MACS = '02:00:00:00:00:01 > 02:00:00:00:00:02';

describe('the difference of two packets', () => {
  it('is nothing for equal ones', () => {
    expect(packetDifference(udp(), udp())).toBe('');
  });

  it('names the fields and shows their bytes', () => {
    const difference = packetDifference(udp({ ttl: 64 }), udp({ ttl: 63 }));
    expect(difference.split('\n')).toEqual([
      `- ${MACS}, ethertype IPv4 (0x0800), length 60: 192.0.2.1.40000 > 198.51.100.2.9: UDP, length 0`,
      `+ ${MACS}, ethertype IPv4 (0x0800), length 60: 192.0.2.1.40000 > 198.51.100.2.9: UDP, length 0`,
      '',
      '  at      expected  received',
      '  0x0016  40        3f        IPv4 time to live',
      '  0x0018  8e 99     8f 99     IPv4 checksum',
    ]);
  });

  it('shows a tag that only one has as that, and nothing else', () => {
    const [plain, tagged] = [udp({ pad: 0 }), udp({ pad: 0, vlan: 7 })];
    expect(packetDifference(plain, tagged).split('\n').slice(3)).toEqual([
      '  at      expected  received',
      '  0x000c  -         81 00 00 07  4 bytes that only one has',
    ]);
    expect(
      packetDifference(tagged, plain, { names: ['old', 'new'] })
        .split('\n')
        .slice(3),
    ).toEqual([
      '  at      old          new',
      '  0x000c  81 00 00 07  -    4 bytes that only one has',
    ]);
  });

  it('cuts long ones', () => {
    const [zeros, ones] = [0, 1].map((value) => new Uint8Array(200).fill(value));
    const lines = packetDifference(tcp({ payload: zeros ?? '' }), tcp({ payload: ones ?? '' }));
    expect(lines).toContain('0x0036  00 00 00 00 00 00 00 00  01 01 01 01 01 01 01 01  payload');
    expect(lines.split('\n')).toHaveLength(4 + 12 + 1);
    expect(lines).toMatch(/\.\.\. 14 more rows$/);
  });

  it('is there for packets that have nothing in common', () => {
    const text = packetDifference(arp({ pad: 0 }), tcp({ payload: 'x' }));
    expect(text).toContain('- 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff, ethertype ARP');
    expect(text).toContain('IPv4 source');
    expect(packetDifference(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toContain('[|ether]');
  });
});
