/**
 * Memory that a program allocates for each packet is never given back (the guest's runtime is a
 * stub), so a module from whose onBurst an allocator can be reached is rejected.
 *
 * The calls are those of the module before optimisation, where nothing is inlined and functions
 * have names: a superset of what runs. An indirect call reaches every function of its type in the
 * table. Reported is the call in the author's file that leaves it towards the allocator, once per
 * place.
 */
import { WireletError } from '../error.js';
import { type Diagnostic, placeOf, type Sources } from './diagnostics.js';
import { Lines, type SourcePlace } from './source-map.js';
import { type Call, callsOf } from './wasm-code.js';
import { functionName, importedFunctions, readModule, type WasmModule } from './wasm-module.js';

/** Where memory comes from in asc's runtimes; everything else that allocates calls one of them. */
const ALLOCATOR = /^~lib\/rt\/(stub|tlsf|itcms)\/__(alloc|realloc|new|renew)$/;
/** Plain modules are several times the size of what is shipped. */
const PLAIN_BYTES_MAX = 64 << 20;
const CHAIN_SHOWN_MAX = 8;

interface Edge extends Call {
  /** The function called. */
  callee: number;
}

interface Graph {
  module: WasmModule;
  /** By function, in the module's numbering. */
  edges: Map<number, Edge[]>;
  /** Functions from which an allocator can be reached, with the next step towards it. */
  next: Map<number, number>;
}

/** What a search for allocations is about. */
export interface Subject {
  plain: Uint8Array;
  plainMap: string;
  sources: Sources;
  /** `onPacket` or `onBurst`: the first of every chain. */
  entry: string;
  cwd: string;
}

/** The places in the author's files that allocate when a burst is run; empty is good. */
export function findAllocations(subject: Subject): Diagnostic[] {
  const graph = readGraph(subject.plain);
  const start = graph.module.exports.find((each) => each.name === 'onBurst');
  if (!start || !graph.next.has(start.index)) return [];
  const lines = new Lines(subject.plainMap);
  const found = new Map<string, Diagnostic>();
  const path = [start.index];
  const seen = new Set(path);
  const visit = (index: number): void => {
    for (const edge of graph.edges.get(index) ?? []) {
      if (!graph.next.has(edge.callee)) continue;
      const isDeeper = isAuthors(graph, edge.callee) && !isConstructor(graph, edge.callee);
      if (isDeeper && !seen.has(edge.callee)) {
        seen.add(edge.callee);
        path.push(edge.callee);
        visit(edge.callee);
        path.pop();
      } else if (!isDeeper) {
        const diagnostic = describe(subject, graph, lines, path, edge);
        if (diagnostic)
          found.set(`${diagnostic.file}:${diagnostic.line}:${diagnostic.column}`, diagnostic);
      }
    }
  };
  visit(start.index);
  return outermost([...found.values()]);
}

/** An expression that allocates twice is one place: the parts within it are left out. */
function outermost(diagnostics: Diagnostic[]): Diagnostic[] {
  return diagnostics
    .filter((inner) => !diagnostics.some((outer) => outer !== inner && covers(outer, inner)))
    .sort((a, b) => a.line - b.line || a.column - b.column);
}

function covers(outer: Diagnostic, inner: Diagnostic): boolean {
  const isSameLine = outer.file === inner.file && outer.line === inner.line;
  return isSameLine && outer.column <= inner.column && inner.endColumn <= outer.endColumn;
}

function readGraph(plain: Uint8Array): Graph {
  const module = readModule(plain, PLAIN_BYTES_MAX);
  const imported = importedFunctions(module);
  const types = [...imported.map((each) => each.type ?? 0), ...module.functions];
  const typeOf = (index: number) => module.types[types[index] ?? -1];
  const edges = new Map<number, Edge[]>();
  for (const [index, body] of module.bodies.entries()) {
    const found = callsOf(module, body).flatMap((call): Edge[] => {
      if (!call.indirect) return [{ ...call, callee: call.target }];
      const type = module.types[call.target];
      const callees = new Set(module.elements.filter((each) => typeOf(each) === type));
      return [...callees].map((callee) => ({ ...call, callee }));
    });
    edges.set(imported.length + index, found);
  }
  return { module, edges, next: reaching(module, edges) };
}

/** Breadth first from the allocators against the calls, so that the chains are the shortest. */
function reaching(module: WasmModule, edges: Map<number, Edge[]>): Map<number, number> {
  const callers = new Map<number, number[]>();
  for (const [caller, out] of edges) {
    for (const { callee } of out) {
      const known = callers.get(callee);
      if (known) known.push(caller);
      else callers.set(callee, [caller]);
    }
  }
  const next = new Map<number, number>();
  for (const [index, name] of module.names) if (ALLOCATOR.test(name)) next.set(index, index);
  const queue = [...next.keys()];
  for (const index of queue) {
    for (const caller of callers.get(index) ?? []) {
      if (next.has(caller)) continue;
      next.set(caller, index);
      queue.push(caller);
    }
  }
  return next;
}

/** The generated entry counts as the author's: it has no allocation of its own to report. */
function isAuthors({ module }: Graph, index: number): boolean {
  return !functionName(module, index).startsWith('~');
}

/** `new X()` is what allocates in the eyes of its reader, not the class. */
function isConstructor({ module }: Graph, index: number): boolean {
  return functionName(module, index).endsWith('#constructor');
}

function describe(
  { sources, entry, cwd }: Subject,
  graph: Graph,
  lines: Lines,
  path: readonly number[],
  edge: Edge,
): Diagnostic | null {
  const callee = functionName(graph.module, edge.callee);
  const isLiteral = callee.endsWith('/__newArray');
  const { place, isExact } = authorPlace(graph, lines, path, edge);
  if (!isExact && isElement(graph, path, edge, callee)) return null;
  if (!place)
    throw new WireletError('WIRELET_E_INTERNAL', `An allocation without a line: ${callee}`);
  const text = sources[place.file]?.text ?? '';
  const at = offsetOf(text, place);
  const start = isLiteral ? literalStart(text, at) : at;
  const range = { source: place.file, start, end: start + expressionLength(text.slice(start)) };
  const shown = placeOf(range, sources, cwd);
  const chain = [...path.slice(1), ...towards(graph, edge.callee)];
  const names = chain.map((each) => shortName(functionName(graph.module, each)));
  if (names[0] !== entry) names.unshift(entry); // The guest SDK's transform inlines onPacket.
  const message = `${reason(callee)} for each packet (${shorten(names).join(' → ')}).`;
  return { code: 'WIRELET_E_PROGRAM_ALLOCATES', severity: 'error', message, ...shown };
}

/** The elements of an array literal are stored by calls of their own: the literal is reported. */
function isElement(graph: Graph, path: readonly number[], edge: Edge, callee: string): boolean {
  if (!/^~lib\/array\/Array<.*>#__set$/.test(callee)) return false;
  const before = (graph.edges.get(path.at(-1) ?? -1) ?? []).filter(
    (each) => each.offset < edge.offset,
  );
  return before.some((each) => functionName(graph.module, each.callee).endsWith('/__newArray'));
}

/**
 * The author's line of a call. asc gives no line to some calls, and the library's to inlined code:
 * then the next line of the author's in the same function is that of the expression around it. Or
 * else it is the line that called the function.
 */
function authorPlace(
  graph: Graph,
  lines: Lines,
  path: readonly number[],
  { offset }: Edge,
): { place: SourcePlace | null; isExact: boolean } {
  const caller = path.at(-1) ?? 0;
  const body = graph.module.bodies[caller - importedFunctions(graph.module).length];
  const own = (at: number): SourcePlace | null => {
    const place = lines.at(at, body?.start);
    return place && !/^(~lib\/|wirelet:)/.test(place.file) ? place : null;
  };
  const direct = own(offset);
  if (direct || !body) return { place: direct, isExact: true };
  for (let at = offset; at < body.end; at++) {
    const place = own(at);
    if (place) return { place, isExact: false };
  }
  for (let at = offset; at >= body.start; at--) {
    const place = own(at);
    if (place) return { place, isExact: false };
  }
  const above = path.slice(0, -1);
  const call = graph.edges.get(above.at(-1) ?? -1)?.find((each) => each.callee === caller);
  return call ? authorPlace(graph, lines, above, call) : { place: null, isExact: false };
}

function towards(graph: Graph, from: number): number[] {
  const chain = [from];
  for (let at = from; ; ) {
    const next = graph.next.get(at);
    if (next === undefined || next === at) return chain;
    chain.push(next);
    at = next;
  }
}

/** `~lib/array/Array<u32>#push` is `Array<u32>#push` to its reader. */
function shortName(name: string): string {
  const bare = name.replace(/~anonymous\|\d+$/, '(function)');
  const generic = bare.indexOf('<');
  const head = generic < 0 ? bare : bare.slice(0, generic);
  const arguments_ = generic < 0 ? '' : bare.slice(generic).replace(/[^<>,|]*\//g, '');
  return head.slice(head.lastIndexOf('/') + 1) + arguments_;
}

function shorten(names: string[]): string[] {
  if (names.length <= CHAIN_SHOWN_MAX) return names;
  return [...names.slice(0, CHAIN_SHOWN_MAX - 2), '…', ...names.slice(-1)];
}

function reason(callee: string): string {
  if (callee.endsWith('/__newArray')) return 'An array literal allocates';
  const name = shortName(callee);
  if (name.endsWith('#constructor')) return `\`new ${name.slice(0, -12)}\` allocates`;
  if (/^String[#.](__)?concat$/.test(name)) return 'Joining strings allocates';
  if (/^(StaticArray<.*>)#join$/.test(name)) return 'A template string allocates';
  if (ALLOCATOR.test(callee)) return 'This allocates';
  return `\`${name}\` may allocate`;
}

function offsetOf(text: string, { line, column }: SourcePlace): number {
  let offset = 0;
  for (let at = 1; at < line; at++) offset = text.indexOf('\n', offset) + 1;
  return offset + column - 1;
}

const OPENERS = '([{';
const CLOSERS = ')]}';

/** Back from an element to its literal's bracket, or on from a statement to its first one. */
function literalStart(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at >= 0; at--) {
    const character = text[at] ?? '';
    if (character === '[' && depth === 0) return at;
    if (depth === 0 && (character === ';' || character === '{')) break;
    if (CLOSERS.includes(character) && at < from) depth++;
    else if (OPENERS.includes(character) && at < from) depth--;
  }
  const ahead = text.indexOf('[', from);
  return ahead < 0 ? from : ahead;
}

/** How much of a line to underline: to the end of the expression. */
function expressionLength(text: string): number {
  const line = text.split('\n', 1)[0] ?? '';
  let depth = 0;
  let quote = '';
  for (let at = 0; at < line.length; at++) {
    const character = line[at] ?? '';
    if (quote) quote = character === quote ? '' : quote;
    else if ('\'"`'.includes(character)) quote = character;
    else if (OPENERS.includes(character)) depth++;
    else if (CLOSERS.includes(character) && --depth < 0) return Math.max(1, at);
    else if (depth === 0 && ',;'.includes(character)) return Math.max(1, at);
  }
  return Math.max(1, line.trimEnd().length);
}
