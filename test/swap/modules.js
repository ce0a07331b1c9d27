// Programs of this folder as modules: compiled once, so that a swap has no compiling in it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadProgram } from '../../host/dist/index.js';

/** Paths of the modules, in a folder that goes with the process. */
export async function compiled(...names) {
  const folder = mkdtempSync(join(tmpdir(), 'wirelet-swap-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const compile = async (name) => {
    const { wasm } = await loadProgram(fileURLToPath(new URL(name, import.meta.url)));
    const file = join(folder, `${name}.wasm`);
    writeFileSync(file, wasm);
    return file;
  };
  return Promise.all(names.map(compile));
}
