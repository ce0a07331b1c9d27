// The cases of every program: their files hold what `test/cases.ts` states, and the program does
// the same.

import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { testProgram } from 'wirelet/test';
import { type Case, caseFiles } from './testing/cases.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const HERE = fileURLToPath(new URL('.', import.meta.url));
const UPDATE = process.env.UPDATE_CASES === '1';

const programs = readdirSync(HERE).filter(
  (name) => existsSync(`${HERE}${name}/index.ts`) && name !== 'testing',
);

for (const program of programs) {
  const folder = `${HERE}${program}/test/`;
  const { cases } = (await import(pathToFileURL(`${folder}cases.ts`).href)) as { cases: Case[] };

  describe(program, () => {
    it.each(cases)('$name: files', (test) => {
      for (const [extension, bytes] of Object.entries(caseFiles(test))) {
        const file = `${folder}${test.name}.${extension}`;
        if (UPDATE) writeFileSync(file, bytes);
        expect(new Uint8Array(readFileSync(file)), file).toEqual(bytes);
      }
    });

    it.each(cases)('$name', async ({ settings = {}, steps, counters }) => {
      const tested = await testProgram(`programs/${program}`, { settings });
      for (const burst of [1, 4, 256]) {
        tested.reset();
        const packets = steps.map((step) => step.in);
        expect(tested.sendAll(packets, { burst })).toBecome(steps.map((step) => step.out));
        expect(tested.counters).toEqual(counters);
      }
    });

    it('has no file without a case', () => {
      const files = readdirSync(folder).filter((name) => /\.(pcap|json)$/.test(name));
      expect(files.sort()).toEqual(
        cases.flatMap(({ name }) => [`${name}.in.pcap`, `${name}.json`, `${name}.out.pcap`]).sort(),
      );
    });
  });
}
