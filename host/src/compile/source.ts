/** What a program's path means: a folder with index.ts, a .ts file, or a built .wasm file. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { NAME_BYTES_MAX } from '../abi.js';
import { WireletError } from '../error.js';

export interface ProgramSource {
  kind: 'source' | 'module';
  /** Absolute path of the .ts or .wasm file. */
  file: string;
  folder: string;
  name: string;
}

/** Finds the program at `source`, which is relative to `cwd`. */
export function locateProgram(source: string, cwd: string): ProgramSource {
  const given = path.resolve(cwd, source);
  const index = path.join(given, 'index.ts');
  if (isFolder(given)) {
    if (isFile(index)) return located('source', index, path.basename(given));
    throw notFound(source, 'the folder has no index.ts');
  }
  if (!isFile(given)) throw notFound(source, 'there is no such file or folder');
  const { base, name, ext } = path.parse(given);
  if (ext === '.wasm') return located('module', given, name);
  if (ext !== '.ts' || base.endsWith('.d.ts')) throw notFound(source, 'it is no .ts or .wasm file');
  return located('source', given, name === 'index' ? path.basename(path.dirname(given)) : name);
}

function located(kind: ProgramSource['kind'], file: string, name: string): ProgramSource {
  return { kind, file, folder: path.dirname(file), name: shortened(name || 'program') };
}

/** A name within the ABI's limit, cut at a character. */
function shortened(name: string): string {
  let short = name;
  while (Buffer.byteLength(short) > NAME_BYTES_MAX) short = [...short].slice(0, -1).join('');
  return short;
}

function notFound(source: string, why: string): WireletError {
  const message = `${source}: ${why}.`;
  return new WireletError('WIRELET_E_PROGRAM_NOT_FOUND', message, { details: { source } });
}

function isFolder(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}
