/** Throw-away programs outside the repository, as a user's are. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll } from 'vitest';
import { type CompileOptions, compileProgram } from '../../src/compile/compile.js';
import { closeCompiler } from '../../src/compile/compiler.js';
import type { Diagnostic } from '../../src/compile/diagnostics.js';
import { WireletError } from '../../src/error.js';

export const folder = mkdtempSync(path.join(tmpdir(), 'wirelet-compile-'));

afterAll(async () => {
  await closeCompiler();
  rmSync(folder, { recursive: true, force: true });
});

const SDK = "import { Burst, Packet, Verdict, log } from '@wirelet/runtime';\n";
let programs = 0;

/** Writes a file below the workshop and returns its path. */
export function write(name: string, text: string): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

/** A program of its own folder; line 1 imports the SDK, `text` begins in line 2. */
export function program(text: string): string {
  const file = write(`p${++programs}/index.ts`, SDK + text);
  return path.dirname(file);
}

/** Compiles without a cache. */
export function compile(source: string, options: CompileOptions = {}) {
  return compileProgram(source, { cwd: folder, cache: false, ...options });
}

/** The coded error that compiling ends with. */
export async function rejection(source: string, options: CompileOptions = {}) {
  const error = await compile(source, options).then(
    () => new Error('it compiled'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof WireletError)) throw error;
  const diagnostics = (error.details.diagnostics ?? []) as Diagnostic[];
  return { code: error.code, message: error.message, details: error.details, diagnostics };
}

export const PASS = `export function onPacket(packet: Packet): Verdict {
  return Verdict.Pass;
}
`;
