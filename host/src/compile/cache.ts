/**
 * Built programs, kept by what they were built from.
 *
 * `objects/` holds results under the digest of all their inputs. `entries/` holds, for each
 * program's path, which files asc asked for and their digests (null: it was not there), so that a
 * hit needs no compiler. A file that is damaged, or not what its digest says, counts as missing.
 * The cache never fails a build: on a full or read-only disk there is none.
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import type { Diagnostic } from './diagnostics.js';

const BYTES_MAX = 128 << 20;
const FORMAT = 'v1';

const inputSchema = z.object({ path: z.string(), digest: z.string().nullable() });
const entrySchema = z.object({ object: z.string(), inputs: z.array(inputSchema) });
const objectSchema = z.object({
  digest: z.string(),
  wasm: z.base64(),
  sourceMap: z.string(),
  warnings: z.array(z.custom<Diagnostic>((each) => typeof each === 'object' && each !== null)),
});

export type Input = z.infer<typeof inputSchema>;

export interface CachedProgram {
  wasm: Uint8Array;
  sourceMap: string;
  warnings: Diagnostic[];
}

/** A program that is there, and the files that it was built from. */
export interface CacheHit extends CachedProgram {
  files: string[];
}

/** `$WIRELET_CACHE`, or `wirelet` in the XDG cache folder. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const { WIRELET_CACHE, XDG_CACHE_HOME } = environment;
  if (WIRELET_CACHE) return path.resolve(WIRELET_CACHE);
  const isGiven = XDG_CACHE_HOME !== undefined && path.isAbsolute(XDG_CACHE_HOME);
  return path.join(isGiven ? XDG_CACHE_HOME : path.join(homedir(), '.cache'), 'wirelet');
}

export class Cache {
  readonly #folder: string;
  readonly #bytesMax: number;

  constructor(folder = cacheFolder(), bytesMax = BYTES_MAX) {
    this.#folder = path.join(folder, FORMAT);
    this.#bytesMax = bytesMax;
  }

  /** What was built for `entry`, if every file that was read then is the same now. */
  find(entry: string): CacheHit | null {
    const known = readJson(this.#path('entries', entry), entrySchema);
    if (!known?.inputs.every((input) => fileDigest(input.path) === input.digest)) return null;
    const file = this.#path('objects', known.object);
    const object = readJson(file, objectSchema);
    if (!object || object.digest !== objectDigest(object.wasm, object.sourceMap)) return null;
    touch(file);
    const { sourceMap, warnings } = object;
    const wasm = new Uint8Array(Buffer.from(object.wasm, 'base64'));
    return { wasm, sourceMap, warnings, files: known.inputs.map((input) => input.path) };
  }

  store(entry: string, key: string, inputs: readonly Input[], program: CachedProgram): void {
    const wasm = Buffer.from(program.wasm).toString('base64');
    const { sourceMap, warnings } = program;
    const object = { digest: objectDigest(wasm, sourceMap), wasm, sourceMap, warnings };
    try {
      writeWhole(this.#path('objects', key), JSON.stringify(object));
      writeWhole(this.#path('entries', entry), JSON.stringify({ object: key, inputs }));
      this.#trim();
    } catch {
      // A full or read-only disk: the build stands, the next one takes as long.
    }
  }

  #path(kind: 'entries' | 'objects', key: string): string {
    return path.join(this.#folder, kind, `${key}.json`);
  }

  /** Deletes what was not used for longest until the rest is within the limit. */
  #trim(): void {
    const files = ['entries', 'objects'].flatMap((kind) => {
      const folder = path.join(this.#folder, kind);
      return readdirSync(folder).flatMap((name) => {
        const file = path.join(folder, name);
        const status = statSync(file, { throwIfNoEntry: false });
        return status ? [{ file, bytes: status.size, used: status.mtimeMs }] : [];
      });
    });
    let bytes = files.reduce((sum, each) => sum + each.bytes, 0);
    for (const each of files.sort((a, b) => a.used - b.used)) {
      if (bytes <= this.#bytesMax) return;
      rmSync(each.file, { force: true });
      bytes -= each.bytes;
    }
  }
}

export function digestOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

function objectDigest(wasm: string, sourceMap: string): string {
  return digestOf(`${wasm}\n${sourceMap}`);
}

/** Null when there is no such file: for asc that is an answer too. */
function fileDigest(file: string): string | null {
  try {
    return digestOf(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

function readJson<T>(file: string, schema: z.ZodType<T>): T | null {
  try {
    return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return null;
  }
}

/** Readers see the old file or the new one, never half of it. */
function writeWhole(file: string, text: string): void {
  const temporary = `${file}.${randomUUID()}`;
  mkdirSync(path.dirname(file), { recursive: true });
  try {
    writeFileSync(temporary, text);
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

function touch(file: string): void {
  try {
    const now = new Date();
    utimesSync(file, now, now);
  } catch {
    // Somebody else's cache: it ages.
  }
}
