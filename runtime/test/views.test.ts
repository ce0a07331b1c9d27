import fc from 'fast-check';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { checksum, concat, dnsQuery, hex, u8 } from 'wirelet/test';
import * as frames from 'wirelet/test/layers';
import { EXTENSION, ethernet, ipv4, ipv6, raw, udp } from 'wirelet/test/layers';
import { Guest } from './guest.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

let probe: Guest;

beforeAll(async () => {
  probe = await Guest.load('runtime/test/probe');
});

/** What the probe says of a frame, without its first line, and whether its checksum is good. */
function see(frame: Uint8Array): { lines: string[]; good: boolean } {
  probe.logs.length = 0;
  const [outcome] = probe.run([frame]);
  return { lines: probe.logs.slice(1), good: outcome?.verdict === 'pass' };
}

describe('Ethernet', () => {
  it('reads addresses and type', () => {
    probe.logs.length = 0;
    probe.run([
      ethernet({ type: 0x88cc }),
      ethernet({ destination: 'ff:ff:ff:ff:ff:ff', type: 1 }),
    ]);
    probe.run([ethernet({ destination: '33:33:00:00:00:01', type: 1 })]);
    expect(probe.logs.filter((line) => line.startsWith('ethernet'))).toEqual([
      'ethernet 02:00:00:00:00:01 > 02:00:00:00:00:02 type 88cc',
      'ethernet 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff type 0001 broadcast',
      'ethernet 02:00:00:00:00:01 > 33:33:00:00:00:01 type 0001 multicast',
    ]);
  });
});

describe('Vlan', () => {
  it('reads a tag, and two', () => {
    const inner = frames.vlan({ id: 4095, priority: 5, payload: ipv4({ payload: udp() }) });
    expect(see(ethernet({ payload: inner })).lines[0]).toBe('vlan 4095 priority 5 type 0800');
    const { lines, good } = see(
      ethernet({ payload: frames.vlan({ id: 7, tag: 0x88a8, payload: inner }) }),
    );
    expect(lines.slice(0, 2)).toEqual([
      'vlan 7 priority 0 type 8100 tagged',
      'vlan 4095 priority 5 type 0800',
    ]);
    expect(lines).toContain('payload v4 protocol 17 at 42');
    expect(good).toBe(true);
  });

  it('stays in front of a tag that is cut off', () => {
    expect(
      see(ethernet({ type: 0x8100, pad: 0, payload: raw(hex('00 01'), 0x8100) })).lines,
    ).toEqual(['no ip payload']);
  });

  it('walks over 8 tags and no more', () => {
    let payload: frames.Layer = ipv4({ payload: udp() });
    for (let i = 0; i < 8; i++) payload = frames.vlan({ payload });
    expect(see(ethernet({ payload })).lines).toContain('payload v4 protocol 17 at 66');
    expect(see(ethernet({ payload: frames.vlan({ payload }) })).lines).toContain('no ip payload');
  });
});

describe('Arp', () => {
  it('reads a request', () => {
    const frame = ethernet({
      payload: frames.arp({ operation: 2, targetMac: '02:00:00:00:00:09' }),
    });
    expect(see(frame).lines.slice(0, 2)).toEqual([
      'arp 2 02:00:00:00:00:01 ',
      'arp 192.0.2.1 02:00:00:00:00:09 198.51.100.2',
    ]);
  });

  it('is null for other hardware and for a short message', () => {
    expect(see(ethernet({ payload: frames.arp({ hardware: 6 }) })).lines[0]).toBe('bad arp');
    expect(see(ethernet({ payload: frames.arp() }).slice(0, 41)).lines[0]).toBe('bad arp');
    expect(see(ethernet({ payload: frames.arp() }).slice(0, 42)).lines[0]).not.toBe('bad arp');
  });
});

describe('Ipv4', () => {
  it('reads a header with options', () => {
    const options = hex('01 94 04 00 00 00 00 00');
    const frame = ethernet({ payload: ipv4({ options, dontFragment: true, payload: udp() }) });
    expect(see(frame).lines.slice(0, 2)).toEqual([
      'ipv4 192.0.2.1 > 198.51.100.2 header 28 total 36 id 1 df ttl 64 class 0 good good ' +
        'alert at 21',
      'payload v4 protocol 17 at 42',
    ]);
  });

  it('does not find options in malformed lists', () => {
    for (const options of [
      '94 00 00 00',
      '07 06 00 94',
      '01 01 01 94',
      '00 94 04 00',
      '07 01 94 04',
      '94 05 00 00',
    ]) {
      const [line] = see(
        ethernet({ payload: ipv4({ options: hex(options), payload: udp() }) }),
      ).lines;
      expect(line, options).toMatch(/alert at 0$/);
    }
  });

  it.each([
    ['version', { version: 6 }],
    ['header shorter than 20', { headerLength: 16 }],
    ['header longer than the packet', { headerLength: 60 }],
    ['total shorter than the header', { totalLength: 19 }],
    ['total longer than the packet', { totalLength: 47 }],
  ])('is null for a wrong %s', (_what, fields) => {
    expect(see(ethernet({ payload: ipv4(fields) })).lines[0]).toBe('bad ipv4');
  });

  it('accepts a packet that ends with the header, and none that ends before', () => {
    const frame = ethernet({ pad: 0, payload: ipv4() });
    expect(see(frame).lines[0]).toMatch(/^ipv4 .* good good/);
    expect(see(frame.slice(0, 33)).lines[0]).toBe('bad ipv4');
  });

  it('knows a good checksum, however the words of a header carry', () => {
    const byte = fc.oneof(fc.constantFrom(0, 0xff), fc.integer({ min: 0, max: 255 }));
    const words = fc.array(byte, { minLength: 16, maxLength: 16 });
    const off = fc.constantFrom(0, 0, 1, 0xff, 0x100, 0xfffe, 0xffff);
    fc.assert(
      fc.property(words, off, fc.boolean(), (rest, error, full) => {
        const header = Uint8Array.from([0x45, rest[0] ?? 0, 0, 20, ...rest]);
        // Ones all over, where words are added four at a time: the next bit carries through.
        for (const at of full ? [4, 5, 6, 7] : []) header[at] = ~(header[at + 8] ?? 0);
        const view = new DataView(header.buffer);
        view.setUint16(10, 0);
        const sum = checksum(header);
        const written = (sum + error) & 0xffff;
        view.setUint16(10, written);
        // 0 and 0xffff are both 0, and say the same.
        const good = written % 0xffff === sum % 0xffff;
        const word = good ? ' good good ' : ' bad bad ';
        expect(see(ethernet({ payload: raw(header, 0x0800) })).lines[0]).toContain(word);
      }),
      { numRuns: 500 },
    );
  });

  it('tells fragments apart', () => {
    const payload = raw(new Uint8Array(64), 17);
    const first = see(ethernet({ payload: ipv4({ payload, moreFragments: true }) })).lines;
    expect(first).toContain('payload v4 protocol 17 at 34 fragment');
    expect(first.join()).toContain('udp');
    const later = see(ethernet({ payload: ipv4({ payload, fragmentOffset: 64 }) })).lines;
    expect(later).toContain('payload v4 protocol 17 at 34 later fragment');
    expect(later.join()).not.toContain('udp');
  });
});

describe('Ipv6', () => {
  it('reads a header', () => {
    const frame = ethernet({
      payload: ipv6({ trafficClass: 0xb8, flowLabel: 0x12345, payload: udp() }),
    });
    expect(see(frame)).toEqual({
      good: true,
      lines: [
        'ipv6 2001:0db8:0000:0000:0000:0000:0000:0001 > 2001:0db8:0000:0000:0000:0000:0000:0002 ' +
          'class 184 flow 74565 bytes 8 next 17 hops 64',
        'payload v6 protocol 17 at 54',
        'udp 40000 > 9',
        'udp 8 payload 62 to 62',
      ],
    });
  });

  it('walks over extension headers', () => {
    const inside = frames.authentication(frames.extension(EXTENSION.destination, frames.tcp(), 3));
    const payload = frames.extension(
      EXTENSION.hopByHop,
      frames.extension(EXTENSION.routing, frames.fragment(inside, 0, true), 2),
    );
    const { lines } = see(ethernet({ payload: ipv6({ payload }) }));
    // 54, and 8 + 16 + 8 + 24 + 24 of extension headers.
    expect(lines).toContain('payload v6 protocol 6 at 134 fragment');
    expect(lines).toContain('tcp 40000 > 80');
  });

  it('stops at a later fragment, at ESP and at a header that is cut off', () => {
    const later = ipv6({ payload: frames.fragment(udp(), 8, false) });
    expect(see(ethernet({ payload: later })).lines.slice(1)).toEqual([
      'payload v6 protocol 17 at 62 later fragment',
    ]);
    const esp = ipv6({
      payload: frames.extension(EXTENSION.hopByHop, raw(new Uint8Array(20), 50)),
    });
    expect(see(ethernet({ payload: esp })).lines).toContain('payload v6 protocol 50 at 62');
    const cut = ethernet({ payload: ipv6({ payload: frames.extension(60, udp(), 2) }), pad: 0 });
    expect(see(cut.slice(0, 69)).lines).toContain('payload v6 protocol 60 at 54');
    expect(see(cut.slice(0, 70)).lines).toContain('payload v6 protocol 17 at 70');
  });

  it('gives up behind 16 extension headers', () => {
    let payload: frames.Layer = udp();
    for (let i = 0; i < 16; i++) payload = frames.extension(EXTENSION.destination, payload);
    expect(see(ethernet({ payload: ipv6({ payload }) })).lines).toContain(
      'payload v6 protocol 17 at 182',
    );
    payload = frames.extension(EXTENSION.destination, payload);
    expect(see(ethernet({ payload: ipv6({ payload }) })).lines).toContain(
      'payload v6 protocol 60 at 182',
    );
  });

  it('is null for a wrong version, a short header, a payload longer than the packet', () => {
    expect(see(ethernet({ payload: ipv6({ version: 4 }) })).lines[0]).toBe('bad ipv6');
    expect(see(ethernet({ payload: ipv6(), pad: 0 }).slice(0, 53)).lines[0]).toBe('bad ipv6');
    expect(see(ethernet({ payload: ipv6({ payloadLength: 7 }) })).lines[0]).toBe('bad ipv6');
    expect(see(ethernet({ payload: ipv6({ payloadLength: 6 }) })).lines[0]).not.toBe('bad ipv6');
  });
});

describe('Udp, Tcp, Icmp, Icmpv6', () => {
  it('finds UDP and where its payload is', () => {
    const dns = udp({ destinationPort: 53, payload: dnsQuery('a.example') });
    const { lines, good } = see(ethernet({ payload: ipv4({ payload: dns }) }));
    expect(lines.slice(2)).toEqual(['udp 40000 > 53', 'udp 35 to dns payload 42 to 69']);
    expect(good).toBe(true);
    const lie = udp({ sourcePort: 53, length: 65535 });
    expect(see(ethernet({ payload: ipv4({ payload: lie }) })).lines).toContain(
      'udp 65535 from dns payload 42 to 60',
    );
  });

  it('finds no UDP header that is cut off', () => {
    const frame = ethernet({ pad: 0, payload: ipv4({ payload: udp() }) });
    expect(see(frame.slice(0, 41)).lines.join()).not.toContain('udp');
    const tagged = ethernet({
      pad: 0,
      payload: frames.vlan({ payload: ipv4({ payload: udp() }) }),
    });
    expect(see(tagged.slice(0, 45)).lines.join()).not.toContain('udp');
    expect(see(tagged.slice(0, 46)).lines.join()).toContain('udp');
  });

  it('reads TCP with options', () => {
    const options = hex('01 01 02 04 05 b4 00 00');
    const tcp = frames.tcp({ options, sequence: 0xfffffffe, acknowledgment: 3, flags: 0x12 });
    const { lines, good } = see(ethernet({ payload: ipv4({ payload: tcp }) }));
    expect(lines.slice(2)).toEqual([
      'tcp 40000 > 80',
      'tcp 4294967294 3 header 28 flags 18 window 65535 payload 62 mss at 22',
    ]);
    expect(good).toBe(true);
  });

  it('is null for a TCP header that is too short or too long', () => {
    for (const headerLength of [16, 60]) {
      const frame = ethernet({ payload: ipv4({ payload: frames.tcp({ headerLength }) }) });
      expect(see(frame).lines.join()).not.toContain('tcp');
    }
  });

  it('reads ICMP over IPv4 and ICMPv6 over IPv6, and not the reverse', () => {
    const icmp = see(
      ethernet({ payload: ipv4({ payload: frames.icmp({ code: 3, sequence: 9 }) }) }),
    );
    expect(icmp.lines.slice(2)).toEqual(['icmp 8 3 9']);
    expect(icmp.good).toBe(true);
    const icmpv6 = see(ethernet({ payload: ipv6({ payload: frames.icmpv6({ sequence: 9 }) }) }));
    expect(icmpv6.lines.slice(2)).toEqual(['icmpv6 128 0 9']);
    expect(icmpv6.good).toBe(true);
    const wrong = see(ethernet({ payload: ipv4({ payload: frames.icmpv6() }) }));
    expect(wrong.lines.slice(2)).toEqual([]);
    expect(wrong.good).toBe(false);
  });

  it('tells good transport checksums from bad ones', () => {
    const bad = { checksum: 0x1234 };
    for (const payload of [udp(bad), frames.tcp(bad), frames.icmp(bad)]) {
      expect(see(ethernet({ payload: ipv4({ payload }) })).good).toBe(false);
    }
    expect(see(ethernet({ payload: ipv4({ payload: udp({ checksum: 0 }) }) })).good).toBe(true);
    expect(see(ethernet({ payload: ipv6({ payload: udp({ checksum: 0 }) }) })).good).toBe(false);
    const fragment = ipv4({ payload: udp(), moreFragments: true });
    expect(see(ethernet({ payload: fragment })).good).toBe(false);
  });

  it('is of the whole packet in an atomic fragment (RFC 6946)', () => {
    const atomic = frames.fragment(udp(), 0, false);
    const { lines, good } = see(ethernet({ payload: ipv6({ payload: atomic }) }));
    expect(lines).toContain('payload v6 protocol 17 at 62');
    expect(good).toBe(true);
  });

  it('does not cover what IP has behind a UDP datagram (RFC 9868)', () => {
    const behind = (fields: frames.UdpFields): frames.Layer => {
      const datagram = udp({ payload: hex('01 02 03'), ...fields });
      return { type: 17, bytes: (pseudo) => concat(datagram.bytes(pseudo), hex('ff fe')) };
    };
    for (const ip of [ipv4, ipv6]) {
      expect(see(ethernet({ payload: ip({ payload: behind({}) }) })).good).toBe(true);
      for (const length of [7, 14, 65535]) {
        expect(see(ethernet({ payload: ip({ payload: behind({ length }) }) })).good).toBe(false);
      }
    }
  });
});

describe('no packet makes a view trap', () => {
  const types = ['0800', '86dd', '0806', '8100', '88a8'];
  const start = fc.constantFrom(...types).map((type) => hex(`020000000002 020000000001 ${type}`));
  const version = fc.constantFrom(0x45, 0x46, 0x4f, 0x60, 0x00).map(u8);

  it('random bytes behind a header', () => {
    const body = fc.uint8Array({ minLength: 0, maxLength: 300 });
    fc.assert(
      fc.property(start, version, body, (header, first, rest) => {
        probe.logs.length = 0;
        expect(probe.run([concat(header, first, rest)])[0]?.verdict).not.toBe('undecided');
      }),
      { numRuns: 3000 },
    );
  });

  it('good packets, cut and with bytes changed', () => {
    const good = [
      ethernet({
        payload: frames.vlan({
          payload: ipv4({ options: hex('94040000'), payload: frames.tcp() }),
        }),
      }),
      ethernet({
        payload: ipv6({ payload: frames.extension(0, frames.fragment(frames.tcp(), 0, true)) }),
      }),
      ethernet({ payload: ipv6({ payload: frames.authentication(frames.icmpv6()) }) }),
      ethernet({ payload: ipv4({ payload: udp({ payload: dnsQuery('a.example') }) }) }),
      ethernet({ payload: frames.arp() }),
    ];
    const change = fc.tuple(fc.nat(99), fc.nat(255));
    fc.assert(
      fc.property(
        fc.constantFrom(...good),
        fc.nat(120),
        fc.array(change),
        (frame, cut, changes) => {
          const packet = frame.slice(0, Math.max(14, cut));
          for (const [at, value] of changes) packet[at % packet.length] = value;
          probe.logs.length = 0;
          expect(probe.run([packet])[0]?.verdict).not.toBe('undecided');
        },
      ),
      { numRuns: 3000 },
    );
  });
});
