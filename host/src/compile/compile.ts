import type { Entry } from './job.js';
import { WireletError } from '../error.js';
import { Compiler, compilerFailed, sharedCompiler } from './compiler.js';
import { type Diagnostic, formatDiagnostics, readDiagnostics } from './diagnostics.js';
import { loadProfile, runtimeFolder } from './profile.js';
import { locateProgram } from './source.js';
import path from 'node:path';

export async function compileProgram(source: string, options: { cwd?: string, compiler?: Compiler } = {}) {
  const cwd = options.cwd ?? process.cwd();
  const program = locateProgram(source, cwd);
  const runtime = runtimeFolder();
  const profile = loadProfile(program.folder, runtime);
  const reply = await (options.compiler ?? sharedCompiler()).compile({ file: program.file, folder: program.folder, runtime, options: profile.options });
  const diagnostics = readDiagnostics(reply.diagnostics, reply.sources, path.basename(program.file), cwd);
  if (!reply.wasm) {
    if (diagnostics.some((d) => d.severity === 'error'))
      throw new WireletError('WIRELET_E_PROGRAM_COMPILE', formatDiagnostics(diagnostics), { details: { diagnostics } });
    throw compilerFailed(program.file, reply.failure ?? 'no reason', '');
  }
  return { name: program.name, wasm: reply.wasm, sourceMap: reply.sourceMap, reply };
}
export type { Diagnostic, Entry };
