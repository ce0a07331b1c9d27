/** `wirelet build`: a program to a .wasm file and its source map. */
import { writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { formatDiagnostics } from '../compile/diagnostics.js';
import { WireletError } from '../error.js';
import { makeFolder } from '../folder.js';
import { loadProgram, shownPath } from '../program.js';
import { duration, grouped } from '../terminal/numbers.js';
import type { Call } from './command.js';

const NS_PER_MS = 1e6;

export async function run({ arguments: [source = ''], options, output }: Call): Promise<number> {
  const program = await loadProgram(source);
  if (program.warnings.length > 0) output.message(formatDiagnostics(program.warnings));
  const { cached, durationMs: compileMs } = program;
  const file = resolve(options.text('out') ?? `build/${program.name}.wasm`);
  const sourceMap = program.sourceMap === null ? null : `${file}.map`;
  write(file, program.wasm);
  if (sourceMap !== null && program.sourceMap !== null) write(sourceMap, program.sourceMap);
  const bytes = program.wasm.length;
  const took = duration(compileMs * NS_PER_MS);
  const how = cached ? `unchanged, out of the cache in ${took}` : `built in ${took}`;
  output.result(`${shownPath(file)}: ${grouped(bytes)} bytes, ${how}`);
  output.json('wirelet.build/1', { name: program.name, file, sourceMap, bytes, cached, compileMs });
  return 0;
}

function write(file: string, content: Uint8Array | string): void {
  try {
    makeFolder(dirname(file));
    writeFileSync(file, content);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WireletError('WIRELET_E_OUTPUT', `${file}: ${reason}`, { cause });
  }
}
