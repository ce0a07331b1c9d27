import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeCapture, encodeCapture } from '../src/capture-file.js';
import { dnsQuery } from '../src/packet/dns.js';
import { udp } from '../src/packet/packets.js';
import { jsonOf, wirelet } from './binary.js';

const PROGRAMS = fileURLToPath(new URL('./programs/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'wirelet-replay-test-'));
const input = join(folder, 'in.pcap');
const BLOCKED = ['--set', 'blocked=["ads.example"]'];

const NAMES = ['www.example', 'ads.example', 'mail.example', 'eu.ads.example', 'a.example'];
const PACKETS = NAMES.map((name, index) =>
  udp({
    from: `10.0.0.${index + 1}:4000`,
    to: '192.0.2.53:53',
    payload: dnsQuery(name, { id: index }),
  }),
);
const BYTES = PACKETS.reduce((sum, { length }) => sum + length, 0);

beforeAll(() => writeFileSync(input, encodeCapture(PACKETS, 1_767_225_600)));
afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string) => join(folder, name);
const replay = (args: string[]) => wirelet(['replay', ...args]);

describe('wirelet replay', () => {
  it('says what became of each packet, in the schema that is promised', async () => {
    const ended = await replay([
      'programs/dnsguard',
      'programs/count',
      '-i',
      input,
      '--json',
      '--set',
      'dnsguard.blocked=["ads.example"]',
    ]);
    const { schema, data } = jsonOf(ended);
    expect(schema).toBe('wirelet.replay/1');
    expect(data).toMatchObject({
      packets: 5,
      bytes: BYTES,
      skipped: {},
      verdicts: { pass: 3, drop: 2, redirect: 0, punt: 0 },
      programs: [
        {
          name: 'dnsguard',
          packets: 5,
          verdicts: { pass: 3, drop: 2, redirect: 0, punt: 0 },
          nsPerPacket: expect.any(Number),
          faults: 0,
        },
        { name: 'count', packets: 3, verdicts: { pass: 3 } },
      ],
      counters: { 'dnsguard/queries': 5, 'dnsguard/blocked': 2, 'count/udp': 3 },
      drops: { program: 2 },
    });
    expect(ended.status).toBe(0);
  });

  it('--out holds exactly what came out, in order, with its timestamps', async () => {
    const { status, stdout } = await replay([
      'programs/dnsguard',
      '-i',
      input,
      '-o',
      at('out.pcap'),
      ...BLOCKED,
    ]);
    expect(stdout).toContain('written: 3 packets');
    expect(stdout).toContain('in = out + drops: exact (5 = 3 + 2)');
    expect(status).toBe(0);
    const kept = PACKETS.filter((_, index) => index % 2 === 0);
    const out = readFileSync(at('out.pcap'));
    expect(decodeCapture(out).map((packet) => [...packet])).toEqual(kept.map((p) => [...p]));
    // Records begin with seconds and microseconds; packets of the input are 1 ms apart.
    const second = 24 + 16 + (kept[0]?.length ?? 0);
    expect(out.readUInt32LE(second)).toBe(1_767_225_600);
    expect(out.readUInt32LE(second + 4)).toBe(2000);
  });

  it('the same program twice has two names', async () => {
    const { data } = jsonOf(
      await replay(['programs/count', 'programs/count', '-i', input, '--json']),
    );
    expect(data.programs).toMatchObject([{ name: 'count' }, { name: 'count-2', packets: 5 }]);
    expect(data.counters).toMatchObject({ 'count/udp': 5, 'count-2/udp': 5 });
  });

  it('a redirect to port 0 is written, to any other dropped; punts are counted', async () => {
    const redirect = [`${PROGRAMS}redirect`, '-i', input, '--json'];
    const own = jsonOf(await replay([...redirect, '-o', at('redirected.pcap')])).data;
    expect(own.verdicts).toEqual({ pass: 0, drop: 0, redirect: 2, punt: 3 });
    expect(own).toMatchObject({ written: 2, drops: { punt_unset: 3 } });
    const other = jsonOf(await replay([...redirect, '--set', 'port=7'])).data;
    expect(other).toMatchObject({ drops: { punt_unset: 3, redirect_invalid: 2 }, written: 0 });
  });

  it('a built module replays as its source does, and its faults name the same line', async () => {
    const set = ['--set', `length=${PACKETS[2]?.length}`];
    await wirelet(['build', `${PROGRAMS}trap`, '-o', at('trap.wasm')]);
    const built = await replay([at('trap.wasm'), '-i', input, ...set]);
    const source = await replay([`${PROGRAMS}trap`, '-i', input, ...set]);
    for (const { status, stderr, stdout } of [built, source]) {
      expect(stderr).toContain('fault[WIRELET_E_PROGRAM_TRAP]: trap: read or write outside');
      expect(stderr).toMatch(/test\/programs\/trap\/index\.ts:9:\d+/);
      expect(stderr).toContain('>  9 |   if (packet.length == length');
      expect(stdout).toContain('exact');
      expect(status).toBe(1);
    }
    expect((await replay([at('trap.wasm'), '-i', input, ...set, '--allow-faults'])).status).toBe(0);
  });

  it('what no program can see is skipped and counted', async () => {
    const mixed = [Uint8Array.of(1, 2, 3), ...PACKETS];
    writeFileSync(at('mixed.pcap'), encodeCapture(mixed, 0));
    const { data } = jsonOf(await replay(['programs/count', '-i', at('mixed.pcap'), '--json']));
    const bytes = PACKETS.reduce((sum, { length }) => sum + length, 0);
    expect(data).toMatchObject({ packets: 5, bytes, skipped: { too_short: 1 } });
  });

  it('files may be called anything', async () => {
    const odd = at('a,b?c&d=e.pcap');
    copyFileSync(input, odd);
    const out = at('x,y?.pcap');
    const ended = await replay(['programs/count', '-i', odd, '-o', out]);
    expect(ended).toMatchObject({ status: 0 });
    expect(decodeCapture(readFileSync(out))).toHaveLength(5);
  });

  const bad: [string, () => string[], string, number][] = [
    ['no --in', () => [], 'error[WIRELET_E_USAGE]: --in is missing', 2],
    ['no such file', () => ['-i', at('none.pcap')], 'error[WIRELET_E_DEVICE_OPEN]', 1],
    ['a file that is no capture', () => ['-i', 'README.md'], 'error[WIRELET_E_PCAP_FORMAT]', 1],
    [
      'an output that is full',
      () => ['-i', input, '-o', '/dev/full'],
      'error[WIRELET_E_OUTPUT]',
      1,
    ],
    ['an output that is the input', () => ['-i', input, '-o', input], 'same file', 3],
    ['a folder as output', () => ['-i', input, '-o', folder], 'error[WIRELET_E_', 1],
  ];
  it.each(bad)('%s is a coded error', async (_name, args, message, status) => {
    writeFileSync(at('no.pcap'), 'not a capture file at all, whatever it is called');
    const given = args().map((arg) => (arg === 'README.md' ? at('no.pcap') : arg));
    const ended = await replay(['programs/count', ...given]);
    expect(ended.stderr).toContain(message);
    expect(ended.status).toBe(status);
  });

  it.each([
    ['programs/none', 'error[WIRELET_E_PROGRAM_NOT_FOUND]'],
    [`${PROGRAMS}broken`, 'index.ts:4:10 error TS2304'],
  ])('a program that is no good ends with 4: %s', async (program, message) => {
    const ended = await replay([program, '-i', input]);
    expect(ended.stderr).toContain(message);
    expect(ended.status).toBe(4);
  });
});
