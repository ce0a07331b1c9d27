import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { checksum, concat, hex, u16, u32 } from 'wirelet/test';
import * as frames from 'wirelet/test/layers';
import { ethernet, ipv4, ipv6, raw, tcp, udp, vlan } from 'wirelet/test/layers';
import { Guest, type Outcome } from './guest.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

/** What the rewriting program does to a packet; `verdict` is drop when it refused. */
async function act(action: string, amount: number, packet: Uint8Array): Promise<Outcome> {
  const guest = await Guest.load('runtime/test/rewrite', { action, amount });
  const [outcome] = guest.run([packet]);
  if (outcome === undefined) throw new Error('no packet came out');
  return outcome;
}

const frame = ethernet({ payload: ipv4({ payload: udp({ payload: hex('0102030405') }) }) });

describe('Packet', () => {
  it('pushes into the headroom and no further', async () => {
    const pushed = await act('push', 128, frame);
    expect(pushed.verdict).toBe('pass');
    expect(pushed.bytes.slice(128)).toEqual(frame);
    const refused = await act('push', 129, frame);
    expect(refused).toMatchObject({ verdict: 'drop', bytes: frame });
    expect((await act('push', 0xffffffff, frame)).bytes).toEqual(frame);
  });

  it('pulls down to 14 bytes and no further', async () => {
    expect((await act('pull', 46, frame)).bytes).toEqual(frame.slice(46));
    for (const bytes of [47, 0xffffffff]) {
      expect(await act('pull', bytes, frame)).toMatchObject({ verdict: 'drop', bytes: frame });
    }
  });

  it('extends into the tailroom and no further', async () => {
    const tailroom = 2240 - 128 - 60;
    expect((await act('rooms', tailroom, frame)).verdict).toBe('pass');
    const extended = await act('extend', tailroom, frame);
    expect(extended.bytes.length).toBe(60 + tailroom);
    expect(extended.bytes.slice(0, 60)).toEqual(frame);
    for (const bytes of [tailroom + 1, 0xffffffff]) {
      expect(await act('extend', bytes, frame)).toMatchObject({ verdict: 'drop', bytes: frame });
    }
  });

  it('trims down to 14 bytes and no further', async () => {
    expect((await act('trim', 46, frame)).bytes).toEqual(frame.slice(0, 14));
    for (const bytes of [47, 0xffffffff]) {
      expect(await act('trim', bytes, frame)).toMatchObject({ verdict: 'drop', bytes: frame });
    }
  });

  it('reads and writes in network order', async () => {
    const { verdict, bytes } = await act('bytes', 0, frame);
    expect(verdict).toBe('pass');
    expect(bytes.slice(14, 29)).toEqual(hex('11 2233 44556677 8899aabbccddeeff'));
  });

  it.each([
    ['read8', 1],
    ['read16', 2],
    ['read32', 4],
    ['read64', 8],
  ])('%s ends at the last byte', async (action, size) => {
    await expect(act(action, 60 - size, frame)).resolves.toBeDefined();
    for (const offset of [61 - size, 60, 0xffffffff, 0x100000000 - size]) {
      await expect(act(action, offset, frame)).rejects.toThrow('outside the packet');
    }
  });

  it('refuses an index beyond the burst', async () => {
    await expect(act('beyond', 0, frame)).rejects.toThrow('no packet of this index');
  });

  it('carries metadata and redirects', async () => {
    const guest = await Guest.load('runtime/test/rewrite', { action: 'metadata' });
    const received = { bytes: frame, port: 3, hash: 42, flags: 2, timestampNs: 120n };
    expect(guest.run([received])[0]?.mark).toBe(3_422_125);
    expect(await act('redirect', 9, frame)).toMatchObject({ verdict: 'redirect', egress: 9 });
    expect((await act('none', 0, frame)).mark).toBe(307);
  });
});

describe('Vlan', () => {
  const inner = ipv4({ payload: udp() });
  const tagged = (id: number, tag: number): Uint8Array =>
    ethernet({ pad: 0, payload: vlan({ id, tag, payload: inner }) });
  const plain = ethernet({ pad: 0, payload: inner });

  it('inserts, changes and removes a tag', async () => {
    expect((await act('tag', 77, plain)).bytes).toEqual(tagged(77, 0x88a8));
    expect((await act('retag', 4095, tagged(77, 0x8100))).bytes).toEqual(tagged(4095, 0x8100));
    expect((await act('untag', 0, tagged(77, 0x8100))).bytes).toEqual(plain);
  });

  it('removes none where none is', async () => {
    expect(await act('untag', 0, plain)).toMatchObject({ verdict: 'drop', bytes: plain });
    const cut = tagged(77, 0x8100).slice(0, 17);
    expect(await act('untag', 0, cut)).toMatchObject({ verdict: 'drop', bytes: cut });
  });
});

describe('setters', () => {
  it('Ethernet', async () => {
    const { bytes, verdict } = await act('ethernet', 0, frame);
    expect(verdict).toBe('pass');
    expect(bytes.slice(0, 14)).toEqual(hex('0a0b0c0d0e0f 010203040506 1234'));
    expect(bytes.slice(14)).toEqual(frame.slice(14));
  });

  it('Arp: a request becomes its answer', async () => {
    const { bytes } = await act('arp', 0, ethernet({ payload: frames.arp() }));
    const answer = frames.arp({
      operation: 2,
      senderMac: '0a:0b:0c:0d:0e:0f',
      senderIp: frames.DEFAULTS.destination4,
      targetMac: frames.DEFAULTS.sourceMac,
      targetIp: frames.DEFAULTS.source4,
    });
    expect(bytes).toEqual(ethernet({ payload: answer }));
  });

  it('Ipv4: a router takes one from the time to live, and not from the last', async () => {
    const at = (timeToLive: number): Uint8Array => ethernet({ payload: ipv4({ timeToLive }) });
    expect((await act('ttl', 0, at(64))).bytes).toEqual(at(63));
    expect((await act('ttl', 0, at(2))).bytes).toEqual(at(1));
    for (const last of [1, 0]) {
      expect(await act('ttl', 0, at(last))).toMatchObject({ verdict: 'drop', bytes: at(last) });
    }
  });

  it('Ipv4: one less to live is right for every checksum', async () => {
    const guest = await Guest.load('runtime/test/rewrite', { action: 'ttl', amount: 0 });
    const at = (timeToLive: number, identification: number): Uint8Array =>
      ethernet({ payload: ipv4({ timeToLive, identification }) });
    for (let first = 0; first < 0x1_0000; first += 64) {
      const all = Array.from({ length: 64 }, (_, index) => first + index);
      const outcomes = guest.run(all.map((identification) => at(64, identification)));
      expect(outcomes.map(({ bytes }) => Buffer.from(bytes).toString('hex'))).toEqual(
        all.map((identification) => Buffer.from(at(63, identification)).toString('hex')),
      );
    }
  });

  it('Ipv4: one checksum of all is good, with and without options', async () => {
    const guest = await Guest.load('runtime/test/rewrite', { action: 'good' });
    for (const options of [hex(''), hex('01010101')]) {
      const packet = ethernet({ payload: ipv4({ options, payload: udp() }) });
      const all = Array.from({ length: 0x1_0000 }, (_, sum) => {
        const changed = Uint8Array.from(packet);
        changed.set(u16(sum), 24);
        return changed;
      });
      const good = guest.run(all).filter(({ verdict }) => verdict === 'pass');
      expect(good.map(({ bytes }) => bytes)).toEqual([packet]);
    }
  });

  it('Icmp and Icmpv6: a request becomes its reply', async () => {
    const request = ethernet({ payload: ipv4({ payload: frames.icmp() }) });
    const reply = ethernet({ payload: ipv4({ payload: frames.icmp({ type: 0 }) }) });
    expect((await act('icmp', 0, request)).bytes).toEqual(reply);
    const request6 = ethernet({ payload: ipv6({ payload: frames.icmpv6() }) });
    const reply6 = ethernet({ payload: ipv6({ payload: frames.icmpv6({ type: 129 }) }) });
    expect((await act('icmp', 0, request6)).bytes).toEqual(reply6);
  });
});

describe('checksums', () => {
  const payload = fc.uint8Array({ maxLength: 200 });
  const address = fc
    .tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
    .map((a) => a.join('.'));
  const port = fc.nat(0xffff);
  const layer = fc.oneof(
    fc.record({ sourcePort: port, destinationPort: port, payload }).map(udp),
    fc.record({ sourcePort: port, destinationPort: port, payload }).map(tcp),
    fc.record({ sequence: port, payload }).map(frames.icmp),
  );
  const packet4 = fc.record({ source: address, destination: address, payload: layer }).map(ipv4);

  it('incremental updates equal full ones', async () => {
    const amounts = fc.sample(fc.nat(0xffffffff), { numRuns: 12, seed: 1624 });
    for (const amount of [...amounts, 0, 0xffffffff, 0xffff]) {
      const nat = await Guest.load('runtime/test/rewrite', { action: 'nat', amount });
      const fill = await Guest.load('runtime/test/rewrite', { action: 'fill' });
      fc.assert(
        fc.property(packet4, (ip) => {
          const [changed] = nat.run([ethernet({ payload: ip })]);
          if (changed === undefined) throw new Error('no packet came out');
          // ICMP does not cover the addresses; `nat` itself checks the sums of all three.
          expect(changed.verdict).toBe('pass');
          expect(fill.run([changed.bytes])[0]?.bytes).toEqual(changed.bytes);
        }),
        { numRuns: 100 },
      );
    }
  });

  it('keeps "no checksum" of UDP', async () => {
    const { bytes } = await act(
      'nat',
      0x0a000001,
      ethernet({ payload: ipv4({ payload: udp({ checksum: 0 }) }) }),
    );
    expect(bytes.slice(40, 42)).toEqual(hex('0000'));
  });

  it.each(['zero16', 'zero32'])('writes a UDP checksum of 0 as 0xffff: %s', async (action) => {
    const packet = ethernet({ payload: ipv4({ payload: udp({ checksum: 0x1234 }) }) });
    expect((await act(action, 0, packet)).bytes.slice(40, 42)).toEqual(hex('ffff'));
  });

  it('updates UDP over IPv6', async () => {
    const packet = (source: string): Uint8Array =>
      ethernet({ payload: ipv6({ source, hopLimit: 9, payload: udp() }) });
    const { verdict, bytes } = await act('nat6', 0xbeef, packet('2001:db8::1'));
    expect(verdict).toBe('pass');
    expect(bytes).toEqual(packet('2001:db8::beef'));
  });

  it('fills in what the frame builder computes', async () => {
    const fill = await Guest.load('runtime/test/rewrite', { action: 'fill' });
    const layer6 = fc.oneof(
      layer.filter((l) => l.type !== 1),
      fc.record({ payload }).map(frames.icmpv6),
    );
    const packet6 = layer6.map((inner) =>
      ipv6({ payload: frames.extension(frames.EXTENSION.destination, inner, 2) }),
    );
    fc.assert(
      fc.property(fc.oneof(packet4, packet6), (ip) => {
        const good = ethernet({ payload: ip });
        const [filled] = fill.run([good]);
        expect(filled?.verdict).toBe('pass');
        expect(filled?.bytes).toEqual(good);
      }),
      { numRuns: 500 },
    );
  });

  it('fills nothing in a fragment, a cut packet, another protocol', async () => {
    const fragment = ethernet({
      payload: ipv4({ payload: udp({ checksum: 1 }), moreFragments: true }),
    });
    const cut = ethernet({ pad: 0, payload: ipv6({ payload: udp({ checksum: 1 }) }) }).slice(0, 61);
    const gre = ethernet({ payload: ipv6({ payload: raw(new Uint8Array(8), 47) }) });
    for (const packet of [fragment, cut, gre, ethernet()]) {
      expect(await act('fill', 0, packet)).toMatchObject({ verdict: 'drop', bytes: packet });
    }
  });

  it('sums any number of bytes, up to the longest packet', async () => {
    const guest = await Guest.load('runtime/test/rewrite', { action: 'checksum' });
    for (const bytes of [14, 15, 16, 17, 63, 64, 1499, 65533, 65534, 65535]) {
      for (const fill of [0x00, 0xff, 0x5a]) {
        const packet = new Uint8Array(bytes).fill(fill);
        packet.set(u32(0x12345678), 2);
        packet.set(u16(0), 0);
        packet.set(u16(checksum(packet)), 0);
        expect(guest.run([packet])[0]?.verdict, `${bytes} of ${fill}`).toBe('pass');
        packet.set(u16(0x0101), 6);
        expect(guest.run([concat(packet)])[0]?.verdict).toBe('drop');
      }
    }
    await expect(act('checksum', 1, frame)).rejects.toThrow('checksum outside the packet');
  });
});

it('counts, per program, by name', async () => {
  const guest = await Guest.load('runtime/test/rewrite', { action: 'push', amount: 500 });
  guest.run(Array.from({ length: 300 }, () => frame));
  expect(guest.counters).toEqual({ refused: 300, seen: 300 });
});
