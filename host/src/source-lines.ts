/** From offsets in a program's module to lines of its source, also where the optimiser inlined. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { frameOf } from './compile/diagnostics.js';
import { mapTrap, type SourcePlace } from './compile/source-map.js';
import { readModule, type WasmBody } from './compile/wasm-module.js';

/** How far back from a trap its author's line is looked for. */
const NEAR_BYTES_MAX = 2048;

/** What of a program is needed. */
export interface Mapped {
  wasm: Uint8Array;
  sourceMap: string | null;
}

/** A line that the author wrote, and how sure that is. */
export interface AuthorPlace extends SourcePlace {
  /** The trap is in an SDK function that was inlined a little behind this place. */
  near: boolean;
}

/** Remembers what it found: the faults of a storm are few lines, and a map is slow to read. */
export class SourceLines {
  readonly #program: Mapped;
  readonly #places = new Map<number, SourcePlace | null>();
  readonly #authors = new Map<string, AuthorPlace | null>();
  readonly #frames = new Map<string, string>();
  #bodies: WasmBody[] | undefined;

  constructor(program: Mapped) {
    this.#program = program;
  }

  /** The place behind an offset; null without a source map. */
  at(offset: number): SourcePlace | null {
    const { sourceMap } = this.#program;
    let place = this.#places.get(offset);
    if (place === undefined) {
      place = sourceMap === null ? null : mapTrap(sourceMap, offset);
      this.#places.set(offset, place);
    }
    return place;
  }

  /**
   * The author's line of a stack, innermost frame first: the first frame in the author's file, else
   * the author's last place before the first frame in which there is one.
   */
  author(offsets: readonly number[]): AuthorPlace | null {
    const key = offsets.join();
    let author = this.#authors.get(key);
    if (author === undefined) {
      author = this.#findAuthor(offsets);
      this.#authors.set(key, author);
    }
    return author;
  }

  /** The lines around a place, from the map itself or, if it has no texts, from disk. */
  codeFrame({ file, line, column }: SourcePlace): string {
    const key = `${file}:${line}:${column}`;
    let frame = this.#frames.get(key);
    if (frame === undefined) {
      const text = this.#textOf(file);
      frame = text === '' ? '' : frameOf(text, line, column, column + 1);
      this.#frames.set(key, frame);
    }
    return frame;
  }

  #findAuthor(offsets: readonly number[]): AuthorPlace | null {
    for (const offset of offsets) {
      const place = this.at(offset);
      if (place && !isLibrary(place.file)) return { ...place, near: false };
    }
    for (const offset of offsets) {
      const place = this.#before(offset);
      if (place) return { ...place, near: true };
    }
    return null;
  }

  /** The last place in the author's file before `offset`, within the same function. */
  #before(offset: number): SourcePlace | null {
    const { sourceMap, wasm } = this.#program;
    if (sourceMap === null) return null;
    this.#bodies ??= readModule(wasm).bodies;
    const body = this.#bodies.find(({ start, end }) => start <= offset && offset < end);
    const first = Math.max(body?.start ?? offset, offset - NEAR_BYTES_MAX);
    for (let at = offset; at >= first; at--) {
      const place = this.at(at);
      if (place && !isLibrary(place.file)) return place;
    }
    return null;
  }

  #textOf(file: string): string {
    const path = resolve(file);
    try {
      const map = JSON.parse(this.#program.sourceMap ?? '') as MapTexts;
      const { sourceRoot = '', sources, sourcesContent } = map;
      const index = sources.findIndex((source) => resolve(sourceRoot, source) === path);
      return sourcesContent?.[index] ?? readFileSync(path, 'utf8');
    } catch {
      return '';
    }
  }
}

interface MapTexts {
  sourceRoot?: string;
  sources: string[];
  sourcesContent?: (string | null)[];
}

/** The SDK's and the compiler's own sources. */
function isLibrary(file: string): boolean {
  return file.startsWith('~lib/') || /(^|\/)wirelet:/.test(file);
}
