/**
 * The thread that runs asc. One job at a time; what it reads comes from disk, what it writes goes
 * back in the reply. asc may crash, call process.exit or never return: that ends this thread only.
 *
 * Plain JavaScript, checked by TypeScript: see entry.js.
 *
 * @typedef {import('./job.js').CompileJob} CompileJob
 * @typedef {import('./job.js').CompileReply} CompileReply
 * @typedef {import('./job.js').RawDiagnostic} RawDiagnostic
 * @typedef {import('./job.js').RawRange} RawRange
 * @typedef {{ binary: Uint8Array, sourceMap: string | null }} Emitted
 * @typedef {{ emitBinary(sourceMapUrl: string): Emitted }} EmittingModule
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parentPort } from 'node:worker_threads';
import asc from 'assemblyscript/asc';
import binaryen from 'assemblyscript/binaryen';
import { ENTRY_SOURCE, entryText, examine } from './entry.js';
import { knownTables } from './known-tables.js';
import { tableTypes } from './schema.js';

const RUNTIME_PACKAGE = 'node_modules/@wirelet/runtime/';
const OUTPUT = ['--outFile', 'program.wasm', '--sourceMap'];
/** asc's SourceKind.User: parsed, but its exports are not the module's. */
const USER_SOURCE = 0;
const SEVERITIES = /** @type {const} */ (['info', 'info', 'warning', 'error']);

parentPort?.on('message', async (/** @type {CompileJob} */ job) => {
  parentPort?.postMessage(await compile(job));
});

/**
 * @param {CompileJob} job
 * @returns {Promise<CompileReply>}
 */
async function compile(job) {
  const reply = emptyReply(job);
  const entryName = path.basename(job.file);
  const result = await asc.main(
    [entryName, ...argumentsOf({ ...job.options, baseDir: job.folder }), ...OUTPUT],
    {
      readFile: (name) => readSource(job, reply, name),
      writeFile: (name, contents) => {
        if (typeof contents === 'string') reply.sourceMap = contents;
        else if (name.endsWith('.wasm')) reply.wasm = Uint8Array.from(contents);
      },
      listFiles: () => [],
      reportDiagnostic: (diagnostic) => reply.diagnostics.push(rawDiagnostic(diagnostic)),
      transforms: [transform(reply, entryName)],
    },
  );
  addTexts(reply);
  if (result.error) {
    reply.failure = `${result.error.message}\n${result.stderr}`.trim();
    reply.wasm = null;
    reply.sourceMap = null;
  }
  return reply;
}

/**
 * @param {CompileJob} job
 * @returns {CompileReply}
 */
function emptyReply(job) {
  return {
    id: job.id,
    wasm: null,
    sourceMap: null,
    plain: null,
    plainMap: null,
    entry: null,
    tableTypes: [],
    tables: [],
    diagnostics: [],
    files: [],
    sources: {},
    failure: null,
  };
}

/**
 * @param {import('./job.js').AscOptions} options
 * @returns {string[]}
 */
function argumentsOf(options) {
  return Object.entries(options).flatMap(([name, value]) => {
    if (typeof value === 'boolean') return value ? [`--${name}`] : [];
    const values = Array.isArray(value) ? value : [String(value)];
    return values.flatMap((each) => [`--${name}`, each]);
  });
}

/**
 * Puts the generated entry around the author's file, reads what tables it has, and keeps the module
 * as it is before optimisation, with names: whoever looks for calls needs it so.
 * @param {CompileReply} reply
 * @param {string} entryName
 * @returns {import('assemblyscript/asc').Transform}
 */
function transform(reply, entryName) {
  /** @type {import('./schema.js').Program & import('./known-tables.js').Program} */
  let program;
  return /** @type {import('assemblyscript/asc').Transform} */ (
    /** @type {unknown} */ ({
      /** @param {import('assemblyscript').Parser} parser */
      afterParse(parser) {
        const author = parser.sources.find((each) => each.normalizedPath === entryName);
        if (!author) throw new Error(`${entryName} was not parsed`);
        const found = examine(parser, author);
        reply.diagnostics.push(...found.diagnostics);
        if (!found.entry || found.diagnostics.length) throw new Error('wrong exports');
        reply.entry = found.entry;
        author.sourceKind = USER_SOURCE;
        const text = entryText(found.entry, found.hasLoad, `./${entryName.replace(/\.ts$/, '')}`);
        reply.sources[ENTRY_SOURCE] = { text, path: null };
        parser.parseFile(text, ENTRY_SOURCE, true);
      },
      /** @param {typeof program} initialized */
      afterInitialize(initialized) {
        program = initialized;
      },
      /** @param {EmittingModule} module */
      afterCompile(module) {
        const { types, diagnostics } = tableTypes(program);
        reply.diagnostics.push(...diagnostics);
        if (diagnostics.length > 0) throw new Error('wrong types in tables');
        reply.tableTypes = types;
        reply.tables = knownTables(program);
        const named = binaryen.getDebugInfo();
        binaryen.setDebugInfo(true);
        const plain = module.emitBinary('plain.wasm.map');
        binaryen.setDebugInfo(named);
        reply.plain = Uint8Array.from(plain.binary);
        reply.plainMap = plain.sourceMap;
      },
    })
  );
}

/**
 * @param {CompileJob} job
 * @param {CompileReply} reply
 * @param {string} name relative to the author's folder
 */
function readSource(job, reply, name) {
  if (!name.endsWith('.ts')) return null;
  let file = path.resolve(job.folder, name);
  const slashed = file.replaceAll('\\', '/');
  const at = slashed.lastIndexOf(RUNTIME_PACKAGE);
  if (at >= 0) file = path.join(job.runtime, slashed.slice(at + RUNTIME_PACKAGE.length));
  let text = null;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    // Not there or not readable: asc tries its next candidate and names the import that failed.
  }
  reply.files.push({ path: file, text });
  if (text !== null) reply.sources[sourceName(slashed, name)] = { text, path: file };
  return text;
}

/**
 * asc's name for a file: packages become `~lib/package/file.ts`.
 * @param {string} file
 * @param {string} name
 */
function sourceName(file, name) {
  const relative = path.posix.normalize(name.replaceAll('\\', '/'));
  const at = file.lastIndexOf('/node_modules/');
  const isPackage = relative.includes('node_modules/');
  return isPackage && at >= 0 ? `~lib/${file.slice(at + '/node_modules/'.length)}` : relative;
}

/**
 * Adds the texts of asc's own library files that diagnostics point into.
 * @param {CompileReply} reply
 */
function addTexts(reply) {
  for (const { range, related } of reply.diagnostics) {
    for (const place of [range, related]) {
      if (!place || reply.sources[place.source] || !place.source.startsWith('~lib/')) continue;
      const text = asc.libraryFiles[place.source.slice('~lib/'.length).replace(/\.ts$/, '')];
      if (text !== undefined) reply.sources[place.source] = { text, path: null };
    }
  }
}

/**
 * @param {import('assemblyscript/asc').DiagnosticMessage} diagnostic
 * @returns {RawDiagnostic}
 */
function rawDiagnostic(diagnostic) {
  return {
    code: diagnostic.code,
    severity: SEVERITIES[diagnostic.category] ?? 'error',
    message: diagnostic.message,
    range: rawRange(diagnostic.range),
    related: rawRange(diagnostic.relatedRange),
  };
}

/**
 * @param {import('assemblyscript/asc').Range | null} range
 * @returns {RawRange | null}
 */
function rawRange(range) {
  if (!range) return null;
  return { source: range.source.normalizedPath, start: range.start, end: range.end };
}
