/**
 * From a program's source to a checked module:
 *
 *   locate → profile → cached? → asc in its thread → diagnostics → allocations → checks
 *          → world and manifest at the end of the module → cache
 *
 * ```ts
 * const { name, wasm, sourceMap } = await compileProgram('programs/dnsguard');
 * ```
 */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { ABI_VERSION, type ErrorCode, MODULE_BYTES_MAX } from '../abi.js';
import { WireletError } from '../error.js';
import { findAllocations } from './allocation.js';
import { Cache, type CachedProgram, digestOf, type Input } from './cache.js';
import { checkModule } from './check.js';
import { type Compiler, compilerFailed, sharedCompiler } from './compiler.js';
import { embedWorld, warmComponentTools } from './component.js';
import { type Diagnostic, displayPath, formatDiagnostics, readDiagnostics } from './diagnostics.js';
import type { CompileJob, CompileReply } from './job.js';
import {
  type AuthorManifest,
  type Manifest,
  parseAuthorManifest,
  readManifest,
  writeManifest,
} from './manifest.js';
import { loadProfile, resolvedOptions, runtimeFolder, sdkFiles } from './profile.js';
import { locateProgram, type ProgramSource } from './source.js';
import { finishSourceMap, rootSourceMap, sourceMapDigest } from './source-map.js';
import { readModule } from './wasm-module.js';

export interface CompileOptions {
  /** What paths are relative to, given and shown. */
  cwd?: string;
  /** False builds anew and keeps nothing. */
  cache?: Cache | false;
  compiler?: Compiler;
}

export interface CompiledProgram {
  name: string;
  wasm: Uint8Array;
  sourceMap: string | null;
  /** Null only for a .wasm file that was not built by Wirelet. */
  manifest: Manifest | null;
  /** Of asc; errors are thrown. */
  warnings: Diagnostic[];
  /** Paths that were read, or looked for and not there: a change of one may change the result. */
  files: string[];
  cached: boolean;
  durationMs: number;
  /** What of it asc took; 0 out of the cache. The rest is checks and what the build adds. */
  compilerMs: number;
}

/** Goes up when what is done with asc's output changes: older results are not used then. */
const BUILD = 2;

/** What the compiler's thread is made of. */
const THREAD = ['worker.js', 'asc-run.js', 'entry.js', 'schema.js', 'known-tables.js'];

const resolver = createRequire(import.meta.url);

/** Compiles a folder with index.ts or a .ts file; reads a .wasm file and the map beside it. */
export async function compileProgram(
  source: string,
  options: CompileOptions = {},
): Promise<CompiledProgram> {
  const begin = performance.now();
  const cwd = options.cwd ?? process.cwd();
  const program = locateProgram(source, cwd);
  const built = program.kind === 'module' ? readBuilt(program) : await build(program, cwd, options);
  return { ...built, durationMs: performance.now() - begin };
}

type Built = Omit<CompiledProgram, 'durationMs'>;

function readBuilt({ file, name }: ProgramSource): Built {
  const { size } = statSync(file);
  if (size > MODULE_BYTES_MAX) {
    const message = `${file} has ${size} bytes, the limit is ${MODULE_BYTES_MAX}.`;
    throw new WireletError('WIRELET_E_MODULE_LIMIT', message, { details: { file } });
  }
  const wasm = new Uint8Array(readFileSync(file));
  const manifest = readManifest(readModule(wasm));
  const map = `${file}.map`;
  const sourceMap = existsSync(map) ? readFileSync(map, 'utf8') : null;
  const built = { name: manifest?.name ?? name, wasm, sourceMap, manifest, warnings: [] };
  return { ...built, files: [file, map], cached: false, compilerMs: 0 };
}

/** What decides the result beside the files that asc reads. */
interface Recipe {
  job: Omit<CompileJob, 'id'>;
  name: string;
  author: AuthorManifest;
  compiler: string;
  /** Files that all of this comes from, those that are not there included. */
  files: string[];
  /** All of it as text. */
  text: string;
}

async function build(program: ProgramSource, cwd: string, options: CompileOptions): Promise<Built> {
  const recipe = recipeOf(program);
  const cache = options.cache === false ? null : (options.cache ?? new Cache());
  const entry = digestOf(`${program.file}\n${recipe.job.runtime}\n${recipe.text}`);
  const hit = cache?.find(entry);
  if (hit) {
    const files = [...recipe.files, ...hit.files];
    return { ...finished(program, hit), files, cached: true, compilerMs: 0 };
  }
  warmComponentTools();
  const begin = performance.now();
  const reply = await (options.compiler ?? sharedCompiler()).compile(recipe.job);
  const compilerMs = performance.now() - begin;
  const files = [...recipe.files, ...new Set(reply.files.map((each) => each.path))];
  const fresh = await complete(program, recipe, reply, cwd).catch((thrown: unknown) => {
    throw withFiles(thrown, files);
  });
  cache?.store(entry, fresh.key, fresh.inputs, fresh.program);
  return { ...finished(program, fresh.program), files, cached: false, compilerMs };
}

/** What a program was read from is what has to change before it compiles. */
function withFiles(thrown: unknown, files: string[]): unknown {
  if (!(thrown instanceof WireletError)) return thrown;
  const { code, message, hint, details, cause } = thrown;
  return new WireletError(code, message, { hint, details: { ...details, files }, cause });
}

function recipeOf(program: ProgramSource): Recipe {
  const runtime = runtimeFolder();
  const { options, files } = loadProfile(program.folder, runtime);
  const author = readAuthorManifest(program);
  const name = author.name ?? program.name;
  const compiler = `assemblyscript ${compilerVersion()}`;
  const thread = THREAD.map((each) => new URL(`./${each}`, import.meta.url));
  const code = [...thread, ...sdkFiles(options, runtime)].map((each) =>
    digestOf(readFileSync(each)),
  );
  const text = JSON.stringify({ BUILD, ABI_VERSION, compiler, code, options, name, author });
  const resolved = resolvedOptions(options, runtime);
  const job = { file: program.file, folder: program.folder, runtime, options: resolved };
  return { job, name, author, compiler, text, files: [...files, ...authorManifests(program)] };
}

/** `wirelet.json` beside an index.ts, there or not. */
function authorManifests({ file, folder }: ProgramSource): string[] {
  return path.basename(file) === 'index.ts' ? [path.join(folder, 'wirelet.json')] : [];
}

function readAuthorManifest(program: ProgramSource): AuthorManifest {
  const [beside] = authorManifests(program);
  if (beside === undefined || !existsSync(beside)) return {};
  return parseAuthorManifest(beside, readFileSync(beside, 'utf8'));
}

interface Fresh {
  key: string;
  inputs: Input[];
  program: CachedProgram;
}

/** asc's answer, checked and completed. */
async function complete(
  program: ProgramSource,
  recipe: Recipe,
  reply: CompileReply,
  cwd: string,
): Promise<Fresh> {
  const entryName = path.basename(program.file);
  const diagnostics = readDiagnostics(reply.diagnostics, reply.sources, entryName, cwd);
  rejectErrors(program, diagnostics, cwd);
  const { wasm, sourceMap, plain, plainMap, entry } = reply;
  if (!wasm || !sourceMap || !plain || !plainMap || !entry) {
    throw compilerFailed(program.file, reply.failure ?? 'it said nothing', '');
  }
  const { sources, tables, tableTypes } = reply;
  rejectErrors(program, findAllocations({ plain, plainMap, sources, entry, cwd }), cwd);
  checkModule(readModule(wasm));
  const inputs = inputsOf(reply);
  const key = digestOf(JSON.stringify([recipe.text, placed(inputs, recipe.job)]));
  const manifest: Manifest = {
    name: recipe.name,
    version: recipe.author.version ?? '0.0.0',
    abi: ABI_VERSION,
    entry,
    affinity: recipe.author.affinity ?? 'none',
    tables,
    tableTypes,
    sourceMap: sourceMapDigest(sourceMap),
    compiler: recipe.compiler,
    inputs: key,
  };
  const module = writeManifest(await embedWorld(wasm), manifest);
  const cached = { wasm: module, sourceMap: finishSourceMap(sourceMap), warnings: diagnostics };
  return { key, inputs, program: cached };
}

/** Throws when there are errors; the message shows the first of them with their frames. */
function rejectErrors(program: ProgramSource, diagnostics: Diagnostic[], cwd: string): void {
  const errors = diagnostics.filter((each) => each.severity === 'error');
  if (errors.length === 0) return;
  const own: ErrorCode[] = [
    'WIRELET_E_PROGRAM_ENTRY',
    'WIRELET_E_PROGRAM_ALLOCATES',
    'WIRELET_E_TABLE_TYPE',
  ];
  const code = own.find((each) => errors.some((error) => error.code === each));
  const count = errors.length === 1 ? '1 error' : `${errors.length} errors`;
  const head = `${displayPath(program.file, cwd)}: ${count}.`;
  const message = `${head}\n\n${formatDiagnostics(errors)}`;
  throw new WireletError(code ?? 'WIRELET_E_PROGRAM_COMPILE', message, {
    details: { file: program.file, diagnostics },
  });
}

/** asc asks for some files several times. */
function inputsOf(reply: CompileReply): Input[] {
  const texts = new Map(reply.files.map(({ path: file, text }) => [file, text]));
  return Array.from(texts, ([file, text]) => ({
    path: file,
    digest: text === null ? null : digestOf(text),
  }));
}

/** The files that were there, named so that another folder or machine names them the same. */
function placed(inputs: Input[], { folder, runtime }: Omit<CompileJob, 'id'>): string[] {
  const names = inputs.flatMap(({ path: file, digest }) => {
    if (digest === null) return [];
    const inRuntime = path.relative(runtime, file);
    const name = inRuntime.startsWith('..') ? path.relative(folder, file) : `~lib/${inRuntime}`;
    return [`${name} ${digest}`];
  });
  return [...new Set(names)].sort();
}

function finished(program: ProgramSource, { wasm, sourceMap, warnings }: CachedProgram) {
  const manifest = readManifest(readModule(wasm));
  const rooted = rootSourceMap(sourceMap, program.folder);
  return { name: manifest?.name ?? program.name, wasm, sourceMap: rooted, manifest, warnings };
}

function compilerVersion(): string {
  const text = readFileSync(resolver.resolve('assemblyscript/package.json'), 'utf8');
  const { version } = JSON.parse(text) as { version: string };
  return version;
}
