/**
 * What can be said of a program's tables without running it: of those that its text opens with a
 * literal name. The engine says the rest when it loads the program.
 *
 * Plain JavaScript, checked by TypeScript: see entry.js.
 *
 * @typedef {import('assemblyscript').Source} Source
 * @typedef {import('./job.js').KnownTable} KnownTable
 * @typedef {Parameters<typeof import('./schema.js').nameOf>[0]} Type
 * @typedef {import('assemblyscript').TypeNode} TypeNode
 * @typedef {{ sources: Source[], filesByName: Map<string, unknown>, resolver: {
 *   resolveType(node: TypeNode, flow: null, context: unknown, types: null, mode: number):
 *     Type | null } }} Program
 */
import {
  CallExpression,
  IdentifierExpression,
  ImportStatement,
  Node,
  PropertyAccessExpression,
  StringLiteralExpression,
} from 'assemblyscript';
import { nameOf } from './schema.js';

/**
 * The calls of the guest SDK that open a table.
 * @type {Map<string, { kind: KnownTable['kind'], shared: boolean }>}
 */
const OPENERS = new Map([
  ['HashTable.of', { kind: 'hash', shared: false }],
  ['HashTable.shared', { kind: 'hash', shared: true }],
  ['LruTable.of', { kind: 'lru', shared: false }],
  ['LpmTable.shared', { kind: 'lpm4', shared: true }],
  ['Lpm6Table.shared', { kind: 'lpm6', shared: true }],
  ['ArrayTable.of', { kind: 'array', shared: false }],
  ['Histogram.of', { kind: 'array', shared: false }],
]);
const RUNTIME = '~lib/@wirelet/runtime';
/** asc's ReportMode.Swallow: a type that can't be resolved is simply not known. */
const SWALLOW = 1;

/**
 * @param {Program} program
 * @returns {KnownTable[]}
 */
export function knownTables(program) {
  /** @type {Map<string, KnownTable>} */
  const tables = new Map();
  for (const source of program.sources) {
    if (source.isLibrary) continue;
    const names = importedNames(source);
    for (const call of callsIn(source.statements)) {
      const table = tableOf(program, source, names, call);
      if (table && !tables.has(table.name)) tables.set(table.name, table);
    }
  }
  return [...tables.values()];
}

/**
 * What a source calls the exports of the guest SDK.
 * @param {Source} source
 * @returns {Map<string, string>}
 */
function importedNames(source) {
  const names = new Map();
  for (const statement of source.statements) {
    if (!(statement instanceof ImportStatement)) continue;
    if (!statement.internalPath.startsWith(RUNTIME)) continue;
    for (const { name, foreignName } of statement.declarations ?? []) {
      names.set(name.text, foreignName.text);
    }
  }
  return names;
}

/**
 * @param {Program} program
 * @param {Source} source
 * @param {Map<string, string>} names
 * @param {CallExpression} call
 * @returns {KnownTable | null}
 */
function tableOf(program, source, names, { expression, typeArguments, args }) {
  if (!(expression instanceof PropertyAccessExpression)) return null;
  if (!(expression.expression instanceof IdentifierExpression)) return null;
  const type = names.get(expression.expression.text);
  const opener = OPENERS.get(`${type}.${expression.property.text}`);
  const [name, capacity] = args;
  if (!opener || !(name instanceof StringLiteralExpression)) return null;
  const context = program.filesByName.get(source.internalPath);
  const types = (typeArguments ?? []).map((node) => {
    const resolved = program.resolver.resolveType(node, null, context, null, SWALLOW);
    return resolved ? nameOf(resolved) : null;
  });
  const digits = capacity ? textOf(source, capacity).replaceAll('_', '') : '';
  const [keyType, valueType] = types.length === 1 ? [null, types[0]] : types;
  return {
    name: name.value,
    ...opener,
    ...(/^[1-9]\d{0,9}$/.test(digits) ? { capacity: Number(digits) } : {}),
    ...(keyType ? { keyType } : {}),
    ...(valueType ? { valueType } : {}),
  };
}

/**
 * @param {Source} source
 * @param {Node} node
 */
function textOf(source, { range }) {
  return source.text.substring(range.start, range.end);
}

/**
 * Every call below some nodes.
 * @param {unknown} value
 * @returns {Generator<CallExpression>}
 */
function* callsIn(value) {
  if (Array.isArray(value)) {
    for (const each of value) yield* callsIn(each);
  } else if (value instanceof Node) {
    if (value instanceof CallExpression) yield value;
    for (const [key, below] of Object.entries(value)) if (key !== 'parent') yield* callsIn(below);
  }
}
