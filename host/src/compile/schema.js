/**
 * The tables of a program, out of asc's own view of it: which fields the types of their keys and
 * values have, and what is known of each table without running the program.
 *
 * The guest SDK opens every table through `TableSpec.keyed<K, V>` or `TableSpec.indexed<V>`
 * (runtime/tablespec.ts), so the instances of those two functions name every type that matters,
 * whatever the author's code looks like.
 *
 * Plain JavaScript, checked by TypeScript: see entry.js. asc's own types know neither of an
 * element's fields nor of its instances, so what is looked at is described here.
 *
 * @typedef {import('assemblyscript').Range} Range
 * @typedef {import('./job.js').RawDiagnostic} RawDiagnostic
 * @typedef {import('./job.js').TableType} TableType
 * @typedef {import('./job.js').KnownTable} KnownTable
 * @typedef {{ toString(): string, size: number, isReference: boolean, isFloatValue: boolean,
 *   isNumericValue: boolean, classReference: ClassElement | null }} Type
 * @typedef {{ isField?: boolean, instance?: { memoryOffset: number, type: Type } | null,
 *   unboundOverrides?: Set<unknown> | null, declaration: Declaration,
 *   fieldDeclaration?: Declaration }} Member
 * @typedef {{ range: Range, name: { range: Range } }} Declaration
 * @typedef {{ name: string, members: Map<string, Member> | null,
 *   prototype: { declaration: Declaration } }} ClassElement
 * @typedef {{ instances: Map<string, { typeArguments: Type[] }> | null }} FunctionElement
 * @typedef {{ elementsByName: Map<string, FunctionElement> }} Program
 */

const KEYED = '~lib/@wirelet/runtime/tablespec/TableSpec.keyed';
const INDEXED = '~lib/@wirelet/runtime/tablespec/TableSpec.indexed';
const CODE = 'WIRELET_E_TABLE_TYPE';

/**
 * The types of keys and values, each once, by name; and what is wrong with them.
 * @param {Program} program
 * @returns {{ types: TableType[], diagnostics: RawDiagnostic[] }}
 */
export function tableTypes(program) {
  /** @type {Map<string, { type: Type, layout: string }>} */
  const found = new Map();
  /** @type {RawDiagnostic[]} */
  const diagnostics = [];
  for (const { type, isKey } of typesInUse(program)) {
    const problems = isKey ? [...fieldProblems(type), ...keyProblems(type)] : fieldProblems(type);
    diagnostics.push(...problems);
    if (problems.length > 0) continue;
    const name = nameOf(type);
    const layout = layoutOf(type);
    const other = found.get(name);
    if (other && other.layout !== layout) diagnostics.push(twice(name, type, other.type));
    else found.set(name, { type, layout });
  }
  const types = [...found].map(([name, { layout }]) => ({ name, layout }));
  return { types: types.sort((a, b) => (a.name < b.name ? -1 : 1)), diagnostics };
}

/**
 * @param {Program} program
 * @returns {{ type: Type, isKey: boolean }[]}
 */
function typesInUse(program) {
  const keyed = [...(program.elementsByName.get(KEYED)?.instances?.values() ?? [])];
  const indexed = [...(program.elementsByName.get(INDEXED)?.instances?.values() ?? [])];
  return [
    ...keyed.flatMap(({ typeArguments }) =>
      typeArguments.map((type, index) => ({ type, isKey: index === 0 })),
    ),
    ...indexed.flatMap(({ typeArguments }) =>
      typeArguments.map((type) => ({ type, isKey: false })),
    ),
  ];
}

/**
 * As the guest's `nameof` says it at run time.
 * @param {Type} type
 */
export function nameOf(type) {
  return type.classReference?.name ?? type.toString();
}

/** @param {Type} type */
function layoutOf(type) {
  if (!type.isReference) return `value:${scalarName(type)}@0`;
  const fields = fieldsOf(type).map(
    ({ name, type: of, offset }) => `${name}:${scalarName(of)}@${offset}`,
  );
  return fields.join(',');
}

/**
 * Pointers are 32 bits wide here.
 * @param {Type} type
 */
function scalarName(type) {
  const name = type.toString();
  return { usize: 'u32', isize: 'i32' }[name] ?? name;
}

/**
 * Fields by offset, inherited ones included.
 * @param {Type} type
 */
function fieldsOf(type) {
  const fields = [];
  for (const [name, member] of type.classReference?.members ?? []) {
    if (!member.isField || !member.instance) continue;
    const { type: of, memoryOffset: offset } = member.instance;
    fields.push({ name, type: of, offset, declaration: member.fieldDeclaration });
  }
  return fields.sort((a, b) => a.offset - b.offset);
}

/**
 * @param {Type} type
 * @returns {RawDiagnostic[]}
 */
function fieldProblems(type) {
  const name = nameOf(type);
  if (!type.isReference) {
    if (type.isNumericValue) return [];
    return [problem(`${name} can't be in a table: integers, floats and classes can.`, null)];
  }
  const fields = fieldsOf(type);
  const range = type.classReference?.prototype.declaration.name.range ?? null;
  if (isOfLibrary(type)) return [problem(`${name} can't be in a table: it is a reference.`, null)];
  if (fields.length === 0) {
    return [problem(`${name} has no fields: a table can't hold it.`, range)];
  }
  const problems = fields
    .filter(({ type: of }) => of.isReference || !of.isNumericValue)
    .map(({ name: field, type: of, declaration }) => {
      const why = `${name}.${field} is a ${nameOf(of)}: tables hold numbers only.`;
      return problem(why, declaration?.range ?? range);
    });
  for (const [method, { unboundOverrides, declaration }] of type.classReference?.members ?? []) {
    if (!unboundOverrides?.size) continue;
    const why = `${name}.${method} is overridden: values of a table do not know their class.`;
    problems.push(problem(why, declaration.name.range));
  }
  return problems;
}

/**
 * A class of asc's own library; the guest SDK has some that are meant for tables.
 * @param {Type} type
 */
function isOfLibrary({ classReference }) {
  const file = classReference?.prototype.declaration.range.source.normalizedPath ?? '~lib/';
  return file.startsWith('~lib/') && !file.startsWith('~lib/@wirelet/runtime/');
}

/**
 * Keys are compared by their bytes, and equal floats can have different ones.
 * @param {Type} type
 * @returns {RawDiagnostic[]}
 */
function keyProblems(type) {
  if (!type.isReference) {
    if (!type.isFloatValue) return [];
    return [problem(`${nameOf(type)} can't be a key: floats are not compared.`, null)];
  }
  return fieldsOf(type)
    .filter(({ type: of }) => of.isFloatValue)
    .map(({ name, type: of, declaration }) => {
      const why = `${nameOf(type)}.${name} is a ${of.toString()}: keys have no floats.`;
      return problem(why, declaration?.range ?? null);
    });
}

/**
 * @param {string} name
 * @param {Type} type
 * @param {Type} other
 */
function twice(name, type, other) {
  const place = (/** @type {Type} */ { classReference }) =>
    classReference?.prototype.declaration.name.range ?? null;
  const message = `Two classes are called ${name}, with different fields: state is kept by name.`;
  return problem(message, place(type), place(other));
}

/**
 * @param {string} message
 * @param {Range | null} range
 * @param {Range | null} related
 * @returns {RawDiagnostic}
 */
function problem(message, range, related = null) {
  const raw = (/** @type {Range | null} */ each) =>
    each && { source: each.source.normalizedPath, start: each.start, end: each.end };
  return { code: CODE, severity: 'error', message, range: raw(range), related: raw(related) };
}
