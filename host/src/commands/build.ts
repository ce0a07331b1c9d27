/** `wirelet build`: a program to a .wasm file and its source map. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { WireletError } from '../error.js';
import { loadProgram, shownPath } from '../program.js';
import { duration, grouped } from '../terminal/numbers.js';
import type { Call } from './command.js';

const NS_PER_MS = 1e6;

export async function run({ arguments: [source = ''], options, output }: Call): Promise<number> {
  const started = performance.now();
  const program = await loadProgram(source);
  const compileMs = performance.now() - started;
  const file = resolve(options.text('out') ?? `build/${program.name}.wasm`);
  const sourceMap = program.sourceMap === null ? null : `${file}.map`;
  await write(file, program.wasm);
  if (sourceMap !== null && program.sourceMap !== null) await write(sourceMap, program.sourceMap);
  const bytes = program.wasm.length;
  const took = duration(compileMs * NS_PER_MS);
  output.result(`${shownPath(file)}: ${grouped(bytes)} bytes, built in ${took}`);
  output.json('wirelet.build/1', { name: program.name, file, sourceMap, bytes, compileMs });
  return 0;
}

async function write(file: string, content: Uint8Array | string): Promise<void> {
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WireletError('WIRELET_E_OUTPUT', `${file}: ${reason}`, { cause });
  }
}
