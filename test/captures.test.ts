import { existsSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WireletError } from '../host/src/error.js';
import { type LoadedProgram, loadProgram } from '../host/src/program.js';
import { type ReplayResult, replay } from '../host/src/replay.js';
import { conservation } from '../host/src/stats/conservation.js';
import { readCaptures } from '../programs/testing/tshark.js';
import { Guest } from '../runtime/test/guest.js';

const FOLDER = fileURLToPath(new URL('../../shared/captures', import.meta.url));
const OUT = join(tmpdir(), `wirelet-captures-${process.pid}.pcap`);

/** Only these may end a file; anything else is a bug. */
const ALLOWED = ['WIRELET_E_PCAP_FORMAT', 'WIRELET_E_PCAP_BROKEN', 'WIRELET_E_DEVICE_OPEN'];

const results = new Map<string, ReplayResult>();
const refused = new Map<string, string>();

describe.skipIf(!existsSync(FOLDER))('every capture through replay, on an lcore', () => {
  let programs: LoadedProgram[] = [];

  beforeAll(async () => {
    programs = [await loadProgram('programs/count'), await loadProgram('programs/dnsguard')];
    const settings = new Map([['dnsguard', { blocked: ['com', 'local'] }]]);
    for (const name of readdirSync(FOLDER).filter((file) => /\.p?cap/.test(file))) {
      try {
        const options = { programs, settings, in: join(FOLDER, name), out: OUT };
        results.set(name, await replay(options));
      } catch (error) {
        refused.set(name, error instanceof WireletError ? error.code : String(error));
      }
    }
  }, 900_000);

  afterAll(() => rmSync(OUT, { force: true }));

  test('each ends with a result or a coded error', () => {
    expect(results.size + refused.size).toBe(830);
    expect([...refused].filter(([, code]) => !ALLOWED.includes(code))).toEqual([]);
    const broken = [...results].flatMap(([name, { errors }]) =>
      errors.map(({ code }) => [name, code]),
    );
    expect(broken.filter(([, code]) => !ALLOWED.includes(code ?? ''))).toEqual([]);
  });

  test('each conserves its packets, and what comes out is what is written', () => {
    for (const [name, { packets, verdicts, stats, written }] of results) {
      expect([name, conservation(stats).exact]).toEqual([name, true]);
      expect([name, verdicts.pass + verdicts.drop]).toEqual([name, packets]);
      expect([name, written]).toEqual([name, verdicts.pass]);
    }
  });

  test('programs count on an lcore what they count under V8', async () => {
    const guest = await Guest.load('programs/count');
    let before = guest.counters;
    let compared = 0;
    for (const [name, records] of readCaptures(FOLDER)) {
      const result = results.get(name);
      if (!result) continue;
      const packets = records.map(({ bytes }) => bytes);
      // Frames here hold 16 KiB less the headroom; what devices drop no program sees.
      guest.run(packets.filter(({ length }) => length >= 14 && length <= 16384 - 128));
      const after = guest.counters;
      const expected = Object.entries(after).map(([key, value]) => [
        `count/${key}`,
        BigInt(value - (before[key] ?? 0)),
      ]);
      before = after;
      const seen = Object.entries(result.counters).filter(([key]) => key.startsWith('count/'));
      expect([name, Object.fromEntries(seen)]).toEqual([name, Object.fromEntries(expected)]);
      compared++;
    }
    expect(compared).toBeGreaterThan(400);
  });
});
