import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { Compiler } from '../../src/compile/compiler.js';
import { loadProfile, resolvedOptions, runtimeFolder } from '../../src/compile/profile.js';
import { compile, PASS, program, rejection, write } from './workshop.js';

const MODULE = fileURLToPath(new URL('../../src/compile/compiler.ts', import.meta.url));

const { generateTypes } = (await import('../../scripts/generate-types.js' as string)) as {
  generateTypes(): Promise<Map<string, string>>;
};

/** A compiler whose thread runs `body` for each job. */
function misbehaving(body: string, timeoutMs = 20_000): Compiler {
  const script = write(
    `thread${Math.random()}.mjs`,
    `import { parentPort } from 'node:worker_threads';
let jobs = 0;
parentPort.on('message', (job) => { jobs++; ${body} });
`,
  );
  return new Compiler({ script: pathToFileURL(script), timeoutMs, heapMibMax: 64 });
}

test.each([
  ['exits', 'console.error("Whoops"); process.exit(1);', /status 1/],
  ['throws', 'throw new Error("Whoops");', /Whoops/],
  ['never ends', 'for (;;) {}', /longer than/],
  ['takes all memory', 'const all = []; for (;;) all.push(new Array(1e5).fill(job));', /memory/],
])('a compiler that %s is a coded error, and the next compile works', async (_name, body, why) => {
  const compiler = misbehaving(body, body.startsWith('for') ? 1_000 : 20_000);
  const { code, message } = await rejection(program(PASS), { compiler });
  expect(code).toBe('WIRELET_E_COMPILER_FAILED');
  expect(message).toMatch(why);
  await compiler.close();
  await expect(compile(program(PASS))).resolves.toBeDefined();
});

test('closing a compiler ends its job', async () => {
  const compiler = misbehaving('');
  const pending = rejection(program(PASS), { compiler });
  await new Promise((resolve) => setTimeout(resolve, 200));
  await compiler.close();
  expect(await pending).toMatchObject({ code: 'WIRELET_E_COMPILER_FAILED' });
});

test('programs compiled at once do not mix', async () => {
  const names = ['one', 'two', 'three'];
  const built = await Promise.all(
    names.map((name, index) => {
      const text = PASS.replace('Verdict.Pass', `${index} > 1 ? Verdict.Drop : Verdict.Pass`);
      const file = write(
        `${name}.ts`,
        `import { Packet, Verdict } from '@wirelet/runtime';\n${text}`,
      );
      return compile(file);
    }),
  );
  expect(built.map((each) => each.name)).toEqual(names);
  expect(built[0]?.wasm).not.toEqual(built[2]?.wasm);
});

test('an idle compiler does not keep its process alive', () => {
  const home = program(PASS);
  const runtime = runtimeFolder();
  const options = resolvedOptions(loadProfile(home).options, runtime);
  const job = { file: path.join(home, 'index.ts'), folder: home, runtime, options };
  const jiti = createRequire(import.meta.url).resolve('jiti');
  const file = write(
    'idle.mjs',
    `import { createJiti } from ${JSON.stringify(pathToFileURL(jiti).href)};
const { Compiler } = await createJiti(import.meta.url).import(${JSON.stringify(MODULE)});
const reply = await new Compiler().compile(${JSON.stringify(job)});
console.log(reply.entry);
`,
  );
  const run = { timeout: 60_000, encoding: 'utf8' } as const;
  expect(execFileSync(process.execPath, [file], run)).toBe('onPacket\n');
});

test('the types of the control interface are those that jco generates', async () => {
  for (const [name, text] of await generateTypes()) {
    const file = new URL(`../../src/compile/generated/${name}`, import.meta.url);
    expect(readFileSync(file, 'utf8'), name).toBe(text);
  }
});
