/** A program as the host holds it: a module, and what is needed to name lines of its source. */
import { relative } from 'node:path';
import { type CompiledProgram, compileProgram } from './compile/compile.js';
import { locateProgram } from './compile/source.js';
import type { ResolvedProgram } from './config/resolve.js';
import type { Affinity, NativeProgram } from './native.js';
import { encodeSettings } from './settings.js';

export interface LoadedProgram extends CompiledProgram {
  /** Absolute path of the .ts or .wasm file. */
  source: string;
}

/**
 * Compiles a folder or .ts file, or reads a built .wasm file and the map beside it.
 *
 * ```ts
 * const guard = await loadProgram('programs/dnsguard');
 * ```
 * @throws WIRELET_E_PROGRAM_NOT_FOUND, WIRELET_E_PROGRAM_COMPILE, ...
 */
export async function loadProgram(source: string): Promise<LoadedProgram> {
  const { file } = locateProgram(source, process.cwd());
  return { ...(await compileProgram(source)), source: file };
}

/** What the engine is given for `program`. @throws WIRELET_E_SETTINGS */
export function nativeProgram(loaded: LoadedProgram, program: ResolvedProgram): NativeProgram {
  const { name, deadlineNs, onFault, redirectTo } = program;
  const settings = encodeSettings(program.settings);
  const tableTypes = loaded.manifest?.tableTypes ?? [];
  const affinity = affinityOf(loaded, program);
  const native = { name, wasm: loaded.wasm, settings, deadlineNs, onFault, affinity, tableTypes };
  return redirectTo === undefined ? native : { ...native, redirectTo };
}

/** Which packets it must see on one lcore: what the config says, else what the author says. */
export function affinityOf(
  loaded: LoadedProgram | undefined,
  { affinity }: Pick<ResolvedProgram, 'affinity'>,
): Affinity {
  return affinity ?? loaded?.manifest?.affinity ?? 'none';
}

/** `path` as people like to read it: relative to the working directory where that is shorter. */
export function shownPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near === '' || near.startsWith('..') ? path : near;
}
