import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { encodeCapture } from '../../src/capture-file.js';
import {
  arp,
  dnsQuery,
  FaultError,
  readCapture,
  type TestProgram,
  testProgram,
  udp,
} from '../../src/test/index.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000 });

const GALLERY = new URL('../../../programs/', import.meta.url);
const HERE = new URL('../programs/', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'wirelet-kit-'));
afterAll(() => rmSync(folder, { recursive: true }));

const ads = udp({ to: '192.0.2.53:53', payload: dnsQuery('ads.example') });
const web = udp({ to: '192.0.2.53:53', payload: dnsQuery('www.example') });

function guard(): Promise<TestProgram> {
  return testProgram(new URL('dnsguard', GALLERY), { settings: { blocked: ['ads.example'] } });
}

/** What a failing expectation says, without colours. */
function failure(fails: () => unknown): string {
  try {
    fails();
  } catch (error) {
    return stripVTControlCharacters(error instanceof Error ? error.message : String(error));
  }
  throw new Error('the expectation holds');
}

describe('a program under test', () => {
  it('runs one packet, or a burst', async () => {
    const program = await guard();
    expect(program.send(ads)).toDrop();
    expect(program.send(web)).toPass();
    const outcomes = program.send([web, ads, arp()]);
    expect(outcomes.map(({ verdict }) => verdict)).toEqual(['pass', 'drop', 'pass']);
    expect(outcomes).toBecome([web, 'drop', arp()]);
    expect(outcomes).toForward([web, arp()]);
    expect(program.counters).toEqual({ queries: 4, blocked: 2, malformed: 0 });
    expect(program.counter('blocked')).toBe(2);
  });

  it('runs any number of packets, burst by burst', async () => {
    const program = await guard();
    const packets = Array.from({ length: 1000 }, (_, index) => (index % 10 === 0 ? ads : web));
    for (const burst of [1, 7, 256]) {
      expect(program.sendAll(packets, { burst })).toForward(packets.filter((each) => each === web));
    }
    expect(program.counters).toEqual({ queries: 3000, blocked: 300, malformed: 0 });
    expect(program.sendAll([])).toEqual([]);
    expect(() => program.sendAll(packets, { burst: 257 })).toThrow('burst: 257 is not 1 to 256');
    expect(() => program.send(packets)).toThrow('a burst of 1000 packets');
    expect(() => program.send(new Uint8Array(13))).toThrow('13 bytes has no Ethernet header');
  });

  it('reads capture files', async () => {
    const file = join(folder, 'queries.pcap');
    writeFileSync(file, encodeCapture([ads, web, web], 1_767_225_600));
    expect((await guard()).sendAll(await readCapture(file))).toForward([web, web]);
  });

  it('redirects, punts, and is told the port of arrival', async () => {
    const redirect = await testProgram(new URL('redirect', HERE), { settings: { port: 3 } });
    const [even, odd] = [udp({ from: '10.0.0.2:1' }), udp({ from: '10.0.0.1:1' })];
    expect(redirect.send(even)).toRedirect();
    expect(redirect.send(even)).toRedirect(3);
    expect(redirect.send(even)).not.toRedirect(2);
    expect(redirect.send(even)).not.toFlood();
    expect(() => redirect.send(even, { nowNs: -1 })).toThrow('nowNs: -1 is not 0 to 2^64 - 1');
    expect(redirect.send(even)).toBecome(even);
    expect(redirect.send(odd)).toPunt();
    expect(redirect.send(odd)).toBecome('punt');
    expect(redirect.send([even, odd], { port: 7 })[0]).toMatchObject({ egress: 3, mark: 0 });
  });

  it('keeps what the program logged, until it starts anew', async () => {
    const logger = await testProgram(new URL('logger', HERE));
    expect(logger.logs).toEqual([]);
    logger.send([web, web]);
    logger.send(web);
    expect(logger.logs).toEqual(['a packet', 'a packet', 'a packet']);
    logger.reset();
    expect(logger.logs).toEqual([]);
    const program = await guard();
    program.send(ads);
    program.reset();
    expect(program.counters).toEqual({ queries: 0, blocked: 0, malformed: 0 });
    program.close();
    expect(() => program.send(ads)).toThrow('the runner is closed');
  });

  it('names a counter that it does not have, and one that is near', async () => {
    const program = await guard();
    expect(() => program.counter('block')).toThrow(
      'dnsguard has no counter "block" — did you mean "blocked"?',
    );
  });

  it('is not there, does not compile, or gets a wrong setting: coded errors', async () => {
    await expect(testProgram('programs/nowhere')).rejects.toMatchObject({
      code: 'WIRELET_E_PROGRAM_NOT_FOUND',
    });
    await expect(testProgram(new URL('broken', HERE))).rejects.toThrow("'Verdct'");
    const settings = { blocked: 7 };
    await expect(testProgram(new URL('dnsguard', GALLERY), { settings })).rejects.toMatchObject({
      code: 'WIRELET_E_LOAD_TRAP',
    });
  });
});

describe('a fault', () => {
  it('fails the test with the line of TypeScript, the lines around, and the packet', async () => {
    const program = await testProgram(new URL('trap', HERE), { settings: { length: 61 } });
    const long = udp({ pad: 61 });
    const text = failure(() => program.send([web, long, web]));
    expect(text).toMatch(
      /^trap: .*outside the packet.* \(WIRELET_E_PROGRAM_TRAP\)\n {2}near \S+\/index.ts:9:48\n/,
    );
    expect(text).toContain('>  9 |   if (packet.length == length && packet.readU8(length)');
    expect(text).toContain('sent: packet 2 of 3: IP 192.0.2.1.40000 > 198.51.100.2.9: UDP');
  });

  it('says what became of the others, and the next burst has a fresh instance', async () => {
    const program = await testProgram(new URL('trap', HERE), { settings: { length: 61 } });
    const error = faultOf(() => program.send([web, udp({ pad: 61 }), web]));
    expect(error).toBeInstanceOf(FaultError);
    expect(error.outcomes.map(({ verdict }) => verdict)).toEqual([
      'pass',
      'undecided',
      'undecided',
    ]);
    expect(error.fault).toMatchObject({ program: 'trap', line: 9, code: 'WIRELET_E_PROGRAM_TRAP' });
    expect(program.send(web)).toPass();
    expect(program.counters).toEqual({ seen: 3 });
  });

  it('is a missed deadline too', async () => {
    const program = await testProgram(new URL('spin', HERE), { deadlineMs: 2 });
    expect(faultOf(() => program.send(web)).code).toBe('WIRELET_E_PROGRAM_DEADLINE');
    await expect(testProgram(new URL('spin', HERE), { deadlineMs: 1 })).rejects.toThrow('deadline');
  });

  function faultOf(fails: () => unknown): FaultError {
    try {
      fails();
    } catch (error) {
      if (error instanceof FaultError) return error;
      throw error;
    }
    throw new Error('it did not fault');
  }
});

describe('an expectation that does not hold says', () => {
  it('which packet, and what became of it', async () => {
    const program = await guard();
    expect(failure(() => expect(program.send(ads)).toPass())).toBe(
      'IP 192.0.2.1.40000 > 192.0.2.53.53: 4660+ A? ads.example. (29)\n' +
        'expected to pass, it was dropped',
    );
    expect(failure(() => expect(program.send([ads, web])).toDrop())).toBe(
      'packet 2 of 2: IP 192.0.2.1.40000 > 192.0.2.53.53: 4660+ A? www.example. (29)\n' +
        'expected to be dropped, it passed',
    );
    expect(failure(() => expect(program.send(web)).toPunt())).toContain('to be punted, it passed');
    expect(failure(() => expect(program.send(ads)).toBecome(web))).toContain(
      'A? www.example. (29)\nbut it was dropped',
    );
    expect(failure(() => expect(program.send(web)).toRedirect(2))).toContain(
      'expected to be redirected to port 2, it passed',
    );
    expect(failure(() => expect(program.send(web)).not.toPass())).toMatch(
      /^expected IP .*www.example.* not to pass$/,
    );
  });

  it('which bytes are not the expected ones', async () => {
    const program = await testProgram(new URL('macswap', GALLERY));
    const text = failure(() => expect(program.send(web)).toBecome(web));
    expect(text.split('\n')).toEqual([
      'IP 192.0.2.1.40000 > 192.0.2.53.53: 4660+ A? www.example. (29)',
      'expected to become another packet',
      '',
      expect.stringMatching(/^- 02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4.*www/),
      expect.stringMatching(/^\+ 02:00:00:00:00:02 > 02:00:00:00:00:01, ethertype IPv4.*www/),
      '',
      '  at      expected           received',
      '  0x0000  02 00 00 00 00 02  02 00 00 00 00 01  Ethernet destination',
      '  0x0006  02 00 00 00 00 01  02 00 00 00 00 02  Ethernet source',
    ]);
  });

  it('which packets are missing or too many', async () => {
    const program = await guard();
    const outcomes = program.send([web, ads]);
    expect(failure(() => expect(outcomes).toForward([web, ads]))).toMatch(
      /^packet 2 is missing: IP .*ads.example/,
    );
    expect(failure(() => expect(outcomes).toForward([]))).toMatch(/^one too many: IP .*www/);
    expect(failure(() => expect(outcomes).toForward([ads]))).toContain('packet 1 of 1 is another');
    expect(failure(() => expect(outcomes).toBecome([web]))).toBe(
      '2 packets were sent, 1 are expected',
    );
  });

  it('no more than the first three of many', async () => {
    const program = await guard();
    const text = failure(() => expect(program.send(new Array(9).fill(ads))).toPass());
    expect(text.match(/it was dropped/g)).toHaveLength(3);
    expect(text).toMatch(/\.\.\. and 6 more packets$/);
  });

  it('when it is not about an outcome at all', () => {
    expect(() => expect(7).toPass()).toThrow('toPass is about what send() returned');
    expect(() => expect([]).toDrop()).toThrow('toDrop is about what send() returned');
  });
});
