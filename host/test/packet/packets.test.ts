import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultTraffic } from '../../src/bench.js';
import { addressText, hex, ipv4Address, ipv6Address, mac } from '../../src/packet/bytes.js';
import { dnsQuery } from '../../src/packet/dns.js';
import * as layers from '../../src/packet/layers.js';
import { ethernet, ipv4 } from '../../src/packet/layers.js';
import { arp, icmp, tcp, udp } from '../../src/packet/packets.js';

/** The Internet checksum over `bytes`, as a receiver adds it up: 0xffff when all is well. */
function checksumOf(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}

describe('whole packets', () => {
  it('have checksums that a receiver accepts, whatever they carry', () => {
    const address4 = fc.ipV4();
    const payload = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(payload, address4, fc.constantFrom(udp, tcp), (bytes, from, make) => {
        const packet = make({ from, to: '192.0.2.7:2', payload: bytes, pad: 0 });
        const length = packet.length - 34;
        const protocol = make === udp ? 17 : 6;
        const pseudo = checksumOf(packet.subarray(26, 34)) + protocol + length;
        expect(checksumOf(packet.subarray(14, 34))).toBe(0xffff);
        expect(checksumOf(packet.subarray(34), pseudo)).toBe(0xffff);
      }),
    );
    fc.assert(
      fc.property(payload, fc.constantFrom(udp, tcp, icmp), (bytes, make) => {
        const packet = make({ from: '2001:db8::9', payload: bytes, pad: 0 });
        const length = packet.length - 54;
        const protocol = new Map([[udp, 17] as const, [tcp, 6] as const]).get(make as never) ?? 58;
        const pseudo = checksumOf(packet.subarray(22, 54)) + protocol + length;
        expect(checksumOf(packet.subarray(54), pseudo)).toBe(0xffff);
      }),
    );
  });

  it('are the layers that one would write by hand', () => {
    const payload = dnsQuery('a.example');
    const datagram = layers.udp({ sourcePort: 1000, destinationPort: 53, payload });
    const addresses = { source: '10.0.0.1', destination: '192.0.2.53' };
    const from = '10.0.0.1:1000';
    const to = '192.0.2.53:53';
    expect(udp({ from, to, payload })).toEqual(
      ethernet({ payload: ipv4({ ...addresses, payload: datagram }) }),
    );
    expect(udp({ from, to, payload, vlan: [5, 7], ttl: 3, fromMac: '06:00:00:00:00:01' })).toEqual(
      ethernet({
        source: '06:00:00:00:00:01',
        payload: layers.vlan({
          id: 5,
          tag: 0x88a8,
          payload: layers.vlan({
            id: 7,
            payload: ipv4({ ...addresses, timeToLive: 3, payload: datagram }),
          }),
        }),
      }),
    );
    expect(tcp({ to: '[2001:db8::2]:443', flags: 'S.', sequence: 7, payload: 'hi' })).toEqual(
      ethernet({
        payload: layers.ipv6({
          payload: layers.tcp({
            destinationPort: 443,
            flags: 0x12,
            sequence: 7,
            payload: hex('6869'),
          }),
        }),
      }),
    );
    expect(icmp({ to: '2001:db8::3' }).subarray(54, 56)).toEqual(hex('8000'));
    expect(icmp({ to: '192.0.2.9', type: 0 }).subarray(34, 36)).toEqual(hex('0000'));
  });

  it('ARP asks all and answers one', () => {
    const request = arp({ from: '192.0.2.1', to: '192.0.2.2' });
    expect(request.subarray(0, 6)).toEqual(mac('ff:ff:ff:ff:ff:ff'));
    expect(request.subarray(20, 22)).toEqual(hex('0001'));
    expect(request.subarray(32, 42)).toEqual(hex('000000000000 c0000202'));
    const reply = arp({ operation: 'reply', fromMac: '02:00:00:00:00:07' });
    expect(reply.subarray(0, 6)).toEqual(mac('02:00:00:00:00:02'));
    expect(reply.subarray(20, 28)).toEqual(hex('0002 020000000007'));
  });

  it('say what is wrong with their fields', () => {
    expect(() => udp({ from: '10.0.0.256:1' })).toThrow('"10.0.0.256" is no IPv4 address');
    expect(() => udp({ from: '10.0.0.1', to: '::1' })).toThrow('one is IPv4, the other IPv6');
    expect(() => udp({ to: '10.0.0.1:65536' })).toThrow('ports go up to 65535');
    expect(() => udp({ to: 'localhost' })).toThrow('"localhost" is no address');
    expect(() => udp({ fromMac: '1:2:3:4:5:6' })).toThrow('is no MAC address');
    expect(() => tcp({ flags: 'SA' })).toThrow('flags "SA": only F S R P . U E W');
    expect(() => hex('0g')).toThrow('"0g" is no list of hex bytes');
    for (const wrong of ['', '1::2::3', '1:2:3:4:5:6:7:8:9', '12345::', '1:2', ':1', '::g']) {
      expect(() => ipv6Address(wrong), wrong).toThrow('is no IPv6 address');
    }
  });

  it('of the bench: 64 bytes, none of them DNS', () => {
    const packets = defaultTraffic();
    expect(new Set(packets.map(({ length }) => length))).toEqual(new Set([64]));
    expect(packets.filter((packet) => packet[36] === 0 && packet[37] === 53)).toEqual([]);
  });
});

describe('addresses', () => {
  it('are read as they are written', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        // Zeros come in runs.
        const address = bytes.map((byte, index) => (((bytes[0] ?? 0) >> (index / 2)) & 1) * byte);
        expect(ipv6Address(addressText(address))).toEqual(address);
      }),
    );
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        expect(addressText(ipv4Address(text))).toBe(text);
      }),
    );
  });

  it('are written as RFC 5952 says', () => {
    const rewritten = [
      ['2001:0DB8::0001', '2001:db8::1'],
      ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['0:0:0:0:0:0:0:0', '::'],
      ['1:0:0:0:0:0:0:0', '1::'],
    ];
    for (const [given = '', text] of rewritten) expect(addressText(ipv6Address(given))).toBe(text);
  });
});
