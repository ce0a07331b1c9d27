/**
 * One run of asc. It reads the standard library and the guest SDK first, which are the same for
 * every program, and then waits for a job: a run that was begun in time costs a job nothing of
 * that.
 *
 * Plain JavaScript, checked by TypeScript: see entry.js.
 *
 * @typedef {import('./job.js').CompileJob} CompileJob
 * @typedef {import('./job.js').CompileReply} CompileReply
 * @typedef {import('./job.js').RawDiagnostic} RawDiagnostic
 * @typedef {import('./job.js').RawRange} RawRange
 * @typedef {Omit<CompileJob, 'id'>} Recipe
 * @typedef {{ binary: Uint8Array, sourceMap: string | null }} Emitted
 * @typedef {{ emitBinary(sourceMapUrl: string): Emitted }} EmittingModule
 * @typedef {import('./schema.js').Program & import('./known-tables.js').Program} TableProgram
 * @typedef {import('assemblyscript').Parser} Parser
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import asc from 'assemblyscript/asc';
import binaryen from 'assemblyscript/binaryen';
import { ENTRY_SOURCE, entryText, examine } from './entry.js';
import { knownTables } from './known-tables.js';
import { tableTypes } from './schema.js';

const RUNTIME_PACKAGE = 'node_modules/@wirelet/runtime/';
/** asc's name for the guest SDK's folder. */
const RUNTIME_SOURCE = '~lib/@wirelet/runtime/';
/** Of the SDK: what authors import, and what the generated entry does. */
const RUNTIME_ENTRIES = ['index.ts', 'entry.ts'];
const OUTPUT = ['--outFile', 'program.wasm', '--sourceMap'];
/** asc's SourceKind.User: parsed, but its exports are not the module's. */
const USER_SOURCE = 0;
const SEVERITIES = /** @type {const} */ (['info', 'info', 'warning', 'error']);

export class AscRun {
  /** @type {Recipe} */
  #recipe;
  #reply = emptyReply();
  /** It has come to the author's file. */
  #isReady = false;
  /** @type {() => void} */
  #open = () => {};
  /** @type {(reason: Error) => void} */
  #refuse = () => {};
  /** @type {Promise<void>} */
  #isWanted;
  /** @type {Promise<CompileReply>} */
  #done;

  /**
   * Begins at once, and stops before it reads the author's file.
   * @param {Recipe} recipe
   */
  constructor({ file, folder, runtime, options }) {
    this.#recipe = { file, folder, runtime, options };
    this.#isWanted = new Promise((resolve, reject) => {
      this.#open = resolve;
      this.#refuse = reject;
    });
    this.#done = this.#main();
    // Whoever wants it waits for it; nobody hears of one that is not.
    this.#done.catch(() => undefined);
  }

  /**
   * Whether it is what `job` needs: everything that it has read is still the same.
   * @param {CompileJob} job
   */
  suits({ file, folder, runtime, options }) {
    const wanted = JSON.stringify({ file, folder, runtime, options });
    if (wanted !== JSON.stringify(this.#recipe)) return false;
    return this.#reply.files.every((each) => readText(each.path) === each.text);
  }

  /**
   * Compiles the author's file as it is now.
   * @param {CompileJob} job
   * @returns {Promise<CompileReply>}
   */
  async go(job) {
    this.#open();
    return { ...(await this.#done), id: job.id };
  }

  /** Ends a run that nobody wants. */
  abandon() {
    this.#refuse(new Error('nobody wants it'));
  }

  /** @returns {Promise<CompileReply>} */
  async #main() {
    const reply = this.#reply;
    const { file, folder, options } = this.#recipe;
    const entryName = path.basename(file);
    const around = aroundProgram(reply, entryName);
    const result = await asc.main(
      [entryName, ...argumentsOf({ ...options, baseDir: folder }), ...OUTPUT],
      {
        readFile: async (name) => {
          if (name === entryName && !this.#isReady) {
            this.#isReady = true;
            readSdk(around.parser(), this.#recipe, reply);
            await this.#isWanted;
          }
          return readSource(this.#recipe, reply, name);
        },
        writeFile: (name, contents) => {
          if (typeof contents === 'string') reply.sourceMap = contents;
          else if (name.endsWith('.wasm')) reply.wasm = Uint8Array.from(contents);
        },
        listFiles: () => [],
        reportDiagnostic: (diagnostic) => reply.diagnostics.push(rawDiagnostic(diagnostic)),
        transforms: [around.transform],
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
}

/** @returns {CompileReply} */
function emptyReply() {
  return {
    id: 0,
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
 * Parses the guest SDK, in the order in which asc would when a program imports it.
 * @param {Parser} parser
 * @param {Recipe} recipe
 * @param {CompileReply} reply
 */
function readSdk(parser, { runtime }, reply) {
  /** @param {string} name */
  const parse = (name) => {
    const file = path.join(runtime, name);
    const text = readText(file);
    reply.files.push({ path: file, text });
    if (text === null) return;
    reply.sources[RUNTIME_SOURCE + name] = { text, path: file };
    parser.parseFile(text, RUNTIME_SOURCE + name, false);
  };
  for (const name of RUNTIME_ENTRIES) parse(name);
  for (let wanted = parser.nextFile(); wanted !== null; wanted = parser.nextFile()) {
    if (wanted.startsWith(RUNTIME_SOURCE)) {
      parse(`${wanted.slice(RUNTIME_SOURCE.length)}.ts`);
      continue;
    }
    const name = wanted.slice('~lib/'.length);
    const found = [name, `${name}/index`].find((each) => asc.libraryFiles[each] !== undefined);
    const text = found === undefined ? null : (asc.libraryFiles[found] ?? null);
    parser.parseFile(text, `~lib/${found ?? name}.ts`, false);
  }
}

/**
 * Puts the generated entry around the author's file, reads what tables it has, and keeps the module
 * as it is before optimisation, with names: whoever looks for calls needs it so.
 * @param {CompileReply} reply
 * @param {string} entryName
 * @returns {{ transform: import('assemblyscript/asc').Transform, parser: () => Parser }}
 */
function aroundProgram(reply, entryName) {
  /** @type {TableProgram} */
  let program;
  /** @type {Parser} */
  let early;
  const hooks = {
    /** @param {Parser} parser */
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
  };
  // asc gives a class its program before it reads the first file, and an object never.
  class Around {
    constructor() {
      early = /** @type {{ program: { parser: Parser } }} */ (/** @type {unknown} */ (this)).program
        .parser;
      Object.assign(this, hooks);
    }
  }
  const transform = /** @type {import('assemblyscript/asc').Transform} */ (
    /** @type {unknown} */ (Around)
  );
  return { transform, parser: () => early };
}

/**
 * @param {Recipe} recipe
 * @param {CompileReply} reply
 * @param {string} name relative to the author's folder
 */
function readSource({ folder, runtime }, reply, name) {
  if (!name.endsWith('.ts')) return null;
  let file = path.resolve(folder, name);
  const slashed = file.replaceAll('\\', '/');
  const at = slashed.lastIndexOf(RUNTIME_PACKAGE);
  if (at >= 0) file = path.join(runtime, slashed.slice(at + RUNTIME_PACKAGE.length));
  const text = readText(file);
  reply.files.push({ path: file, text });
  if (text !== null) reply.sources[sourceName(slashed, name)] = { text, path: file };
  return text;
}

/**
 * Null when it is not there or not readable: asc tries its next candidate then, and names the
 * import that failed.
 * @param {string} file
 */
function readText(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
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
