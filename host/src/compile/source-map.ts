/**
 * From a place in a module to a place in TypeScript, by asc's source map: its "columns" are byte
 * offsets into the module as asc wrote it, which sections appended later do not move.
 */
import { createHash } from 'node:crypto';
import { SourceMap, type SourceMapPayload } from 'node:module';
import path from 'node:path';
import { displayPath } from './diagnostics.js';

export interface SourcePlace {
  file: string;
  line: number;
  column: number;
}

interface Payload {
  version: number;
  sources: string[];
  sourcesContent?: (string | null)[];
  sourceRoot?: string;
  names: string[];
  mappings: string;
}

/** Answers many questions about one map. */
export class Lines {
  readonly #map: SourceMap;
  readonly root: string | null;

  /** @throws SyntaxError when the text is no JSON of a source map */
  constructor(sourceMap: string) {
    const payload = parse(sourceMap);
    this.root = payload.sourceRoot ?? null;
    // Node's type asks for fields that the format does not.
    this.#map = new SourceMap({ file: '', sourceRoot: '', ...payload } as SourceMapPayload);
  }

  /**
   * The source as asc names it, and 1-based line and column; null when the map says nothing.
   * `from` is where the offset's function begins: a line before it belongs to another.
   */
  at(offset: number, from = 0): SourcePlace | null {
    const entry = this.#map.findEntry(0, offset);
    if (!('originalSource' in entry) || typeof entry.originalSource !== 'string') return null;
    if (entry.generatedColumn < from) return null;
    const { originalSource: file, originalLine, originalColumn } = entry;
    return { file, line: originalLine + 1, column: originalColumn + 1 };
  }
}

/** asc gives no line to some instructions of an expression; the next that has one is near. */
const NEAR_BYTES = 48;

/**
 * The line of TypeScript behind an offset in a module, such as a trap's.
 *
 * ```ts
 * mapTrap(program.sourceMap, 0x1a2); // { file: 'programs/guard/index.ts', line: 12, column: 3 }
 * ```
 */
export function mapTrap(
  sourceMap: string,
  wasmOffset: number,
  cwd = process.cwd(),
): SourcePlace | null {
  let lines: Lines;
  try {
    lines = new Lines(sourceMap);
  } catch {
    return null; // A damaged map names no line; the trap is reported without.
  }
  const place = nearest(lines, wasmOffset);
  if (!place || place.file.startsWith('~lib/')) return place;
  const file = path.resolve(lines.root ?? cwd, place.file);
  return { ...place, file: displayPath(file, cwd) };
}

function nearest(lines: Lines, offset: number): SourcePlace | null {
  for (let distance = 0; distance <= NEAR_BYTES; distance++) {
    const place = lines.at(offset + distance);
    if (place) return place;
  }
  return null;
}

/** asc's map without the texts of libraries, and the same wherever the sources lie. */
export function finishSourceMap(sourceMap: string): string {
  const { version, sources, sourcesContent, names, mappings } = parse(sourceMap);
  const contents = sources.map((source, index) =>
    source.startsWith('~lib/') ? null : (sourcesContent?.[index] ?? null),
  );
  return JSON.stringify({ version, sources, sourcesContent: contents, names, mappings });
}

/** The map with the folder that its sources are relative to. */
export function rootSourceMap(sourceMap: string, folder: string): string {
  return JSON.stringify({ sourceRoot: folder, ...parse(sourceMap) });
}

/** The digest that a manifest has: the same wherever the sources lie. */
export function sourceMapDigest(sourceMap: string): string {
  const { sources, mappings } = parse(sourceMap);
  return createHash('sha256').update(JSON.stringify({ sources, mappings })).digest('hex');
}

function parse(sourceMap: string): Payload {
  const value: unknown = JSON.parse(sourceMap);
  if (!isPayload(value)) throw new SyntaxError('That is no source map.');
  return value;
}

function isPayload(value: unknown): value is Payload {
  if (typeof value !== 'object' || value === null) return false;
  const { sources, mappings } = value as Partial<Payload>;
  return Array.isArray(sources) && typeof mappings === 'string';
}
