// What takes time, several ports or many rules, and settings that are refused.

import { beforeEach, describe, expect, test, vi } from 'vitest';
import { icmp, type TestProgram, tcp, testProgram, udp } from 'wirelet/test';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const PROGRAM = 'programs/firewall';
const SECOND = 1_000_000_000n;

/** A way out, by the addresses of a family, and the way back. */
const WAYS = {
  IPv4: { inside: '10.0.0.1', outside: '192.0.2.9' },
  IPv6: { inside: '2001:db8::1', outside: '2001:db8:9::9' },
};
const at = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

describe.each(Object.entries(WAYS))('%s', (family, { inside, outside }) => {
  const client = at(inside, 1000);
  const server = at(outside, 80);
  let firewall: TestProgram;
  let now = 10n * SECOND;

  /** Whether a packet passes, so many seconds after the last one. */
  const passes = (packet: Uint8Array, seconds = 0): boolean => {
    now += (BigInt(Math.round(seconds * 1e9)) * SECOND) / SECOND;
    return firewall.send(packet, { nowNs: now }).verdict === 'pass';
  };
  const out = (flags: string) => tcp({ from: client, to: server, flags });
  const back = (flags: string) => tcp({ from: server, to: client, flags });
  const handshake = () => [out('S'), back('S.'), out('.')].map((packet) => passes(packet));

  beforeEach(async () => {
    firewall = await testProgram(PROGRAM, {
      settings: {
        rules: [`allow any from ${inside}`],
        tcpSeconds: 3600,
        udpSeconds: 100,
        capacity: 4096,
      },
    });
  });

  test('an open connection may be quiet for as long as the settings say', () => {
    expect(handshake()).toEqual([true, true, true]);
    expect(passes(back('P.'), 3600)).toBe(true);
    expect(passes(back('P.'), 3600.1)).toBe(false);
    expect(passes(out('.'))).toBe(false);
  });

  test('one that nobody answers waits for 120 s, a half-open one for 60', () => {
    passes(out('S'));
    expect(passes(back('S.'), 120)).toBe(true);
    expect(passes(out('.'), 60.1)).toBe(false);
    expect(passes(out('S'))).toBe(true);
    expect(passes(back('S.'), 120.1)).toBe(false);
  });

  test('what both have closed waits for 120 s, what one has reset for 10', () => {
    handshake();
    expect([out('F.'), back('F.')].map((packet) => passes(packet))).toEqual([true, true]);
    expect(passes(out('.'), 120)).toBe(true);
    expect(passes(out('.'), 120.1)).toBe(false);
    handshake();
    expect(passes(back('R'))).toBe(true);
    expect(passes(out('.'), 10)).toBe(true);
    expect(passes(out('.'), 10.1)).toBe(false);
  });

  test('two that open at once meet', () => {
    const steps = [out('S'), back('S'), out('S.'), back('S.'), out('.'), back('P.')];
    expect(steps.map((packet) => passes(packet))).toEqual(steps.map(() => true));
    expect(passes(out('P.'), 60.1)).toBe(true);
  });

  test('a datagram that is answered is waited for longer', () => {
    const question = udp({ from: client, to: server });
    const answer = udp({ from: server, to: client });
    passes(question);
    expect(passes(answer, 30.1)).toBe(false);
    passes(question);
    expect(passes(answer, 30)).toBe(true);
    expect(passes(answer, 100)).toBe(true);
    expect(passes(answer, 100.1)).toBe(false);
  });

  test('two that ping each other with one identifier are two flows', async () => {
    firewall = await testProgram(PROGRAM, { settings: { policy: 'allow' } });
    const [request, reply] = family === 'IPv4' ? [8, 0] : [128, 129];
    // The query's own number as its identifier: the ends must not be mistaken for each other.
    for (const identifier of [1, request]) {
      const ping = (type: number, from: string, to: string) =>
        icmp({ from: at(from, 0), to: at(to, 0), type, identifier });
      expect(passes(ping(reply, inside, outside))).toBe(false);
      expect(passes(ping(request, outside, inside))).toBe(true);
      expect(passes(ping(reply, outside, inside))).toBe(false);
      expect(passes(ping(reply, inside, outside))).toBe(true);
      expect(passes(ping(request, inside, outside))).toBe(true);
      expect(passes(ping(reply, outside, inside))).toBe(true);
    }
    expect(firewall.counter('opened')).toBe(4);
  });

  test('a storm of first packets drives out nothing that works', () => {
    handshake();
    passes(udp({ from: client, to: server }));
    passes(udp({ from: server, to: client }));
    passes(tcp({ from: at(inside, 2), to: server }));
    for (let port = 1; port <= 60_000; port += 250) {
      const storm = Array.from({ length: 250 }, (_, i) => [
        udp({ from: at(inside, port + i), to: at(outside, 1) }),
        tcp({ from: at(inside, port + i), to: at(outside, 2) }),
      ]);
      firewall.sendAll(storm.flat(), { nowNs: now });
    }
    const before = firewall.counter('established');
    expect([out('.'), back('.')].map((packet) => passes(packet))).toEqual([true, true]);
    expect(passes(udp({ from: server, to: client }))).toBe(true);
    expect(firewall.counter('established')).toBe(before + 3);
    // What nobody has answered yet has to be sent again.
    expect(passes(tcp({ from: server, to: at(inside, 2), flags: 'S.' }))).toBe(false);
  });

  test('a flow stays when the rules change', async () => {
    handshake();
    await firewall.swap(PROGRAM, { settings: { policy: 'deny' } });
    expect(passes(out('P.'))).toBe(true);
    expect(passes(tcp({ from: at(inside, 1001), to: server }))).toBe(false);
  });
});

test('as many of the longest rules as there may be fit into its memory', async () => {
  const end = '2001:0db8:1111:2222:3333:4444:5555:6666/128 port 10000-65535';
  const rules = Array.from({ length: 1024 }, () => `allow tcp in 65535 from ${end} to ${end}`);
  await expect(testProgram(PROGRAM, { settings: { rules } })).resolves.toBeDefined();
});

test('the port of arrival decides where a rule names it', async () => {
  const firewall = await testProgram(PROGRAM, { settings: { rules: ['allow udp in 3'] } });
  const packet = udp({ from: '10.0.0.1:1', to: '10.0.0.2:2' });
  expect(firewall.send(packet, { port: 2 })).toDrop();
  expect(firewall.send(packet, { port: 3 })).toPass();
  expect(firewall.send(packet, { port: 2 })).toPass();
});

test('a list of a thousand rules is read in order, to its end', async () => {
  const rules = Array.from({ length: 1000 }, (_, i) => `deny udp to any port ${i + 1}`);
  rules.push('allow udp to any port 500-1001', 'deny any', 'allow any');
  const firewall = await testProgram(PROGRAM, { settings: { policy: 'allow', rules } });
  const to = (port: number) => udp({ from: '10.0.0.1:9', to: `10.0.0.2:${port}` });
  expect(firewall.send([to(1), to(1000), to(1001), to(1002), to(499)])).toBecome([
    'drop',
    'drop',
    to(1001),
    'drop',
    'drop',
  ]);
});

test.each([
  ['let tcp', 'a rule begins with "allow" or "deny"'],
  ['', 'a rule begins with "allow" or "deny"'],
  ['allow tpc', '"tpc" is not expected there'],
  ['allow protocol', 'it ends where the number of a protocol is expected'],
  ['allow protocol 256', '"256" is no number from 0 to 255'],
  ['allow in lan', '"lan" is no number from 0 to 65535'],
  ['allow from', 'it ends where a prefix is expected'],
  ['allow from 10.0.0.0/33', '"33" is no number from 0 to 32'],
  ['allow from 10.0.0.1/8', '"10.0.0.1/8" has bits behind its prefix'],
  ['allow from 2001:db8::1/64', '"2001:db8::1/64" has bits behind its prefix'],
  ['allow from 10.0.0.0/8/8', '"10.0.0.0/8/8" is no prefix'],
  ['allow from 10.0.0', '"10.0.0" is not an IPv4 address'],
  ['allow from any port 80', 'ports are of "tcp" or "udp"'],
  ['allow tcp to any port', 'it ends where a port is expected'],
  ['allow tcp to any port 443-80', 'the last port is below the first'],
  ['allow tcp to any port 1-2-3', 'ports are "80" or "80-443"'],
  ['allow tcp to any port 65536', '"65536" is no number from 0 to 65535'],
  ['allow icmp from ::1', 'a part of it is IPv4, another IPv6'],
  ['allow from 10.0.0.1 to ::1', 'a part of it is IPv4, another IPv6'],
  ['allow to any from any', '"from" is not expected there'],
])('the rule "%s" is refused', async (rule, reason) => {
  const settings = { rules: ['allow tcp', rule] };
  await expect(testProgram(PROGRAM, { settings })).rejects.toThrow(reason);
});

test('other settings are refused, too', async () => {
  await expect(testProgram(PROGRAM, { settings: { policy: 'drop' } })).rejects.toThrow(
    'setting "policy" must be "allow" or "deny"',
  );
  const rules = Array.from({ length: 1025 }, () => 'allow tcp');
  await expect(testProgram(PROGRAM, { settings: { rules } })).rejects.toThrow(
    'more than 1024 rules',
  );
});
