import type { LoadedProgram } from '../src/program.js';

/** A program whose module is `bytes`, which no engine would take. */
export function loadedProgram(bytes: string): LoadedProgram {
  return {
    name: bytes,
    source: `/app/${bytes}.ts`,
    wasm: new TextEncoder().encode(bytes),
    sourceMap: null,
    manifest: null,
    warnings: [],
    files: [],
    cached: false,
    durationMs: 5,
    compilerMs: 4,
  };
}
