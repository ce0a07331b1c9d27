/**
 * Around an author's file: which of `onPacket`, `onBurst`, `onLoad` it exports, whether their
 * signatures are right, and the text of the module that asc gets as its entry. The text is the
 * guest SDK's: runtime/entry.ts explains it.
 *
 * Plain JavaScript, checked by TypeScript: a worker thread loads this file, and Node 20 can't load
 * TypeScript there when the tests run from src/.
 *
 * @typedef {import('assemblyscript').Source} Source
 * @typedef {import('assemblyscript').Parser} Parser
 * @typedef {import('assemblyscript').TypeNode} TypeNode
 * @typedef {import('assemblyscript').Range} Range
 * @typedef {import('./job.js').RawDiagnostic} RawDiagnostic
 * @typedef {{ source: Source, declaration: FunctionDeclaration | null, range: Range }} Export
 */
import {
  DeclarationStatement,
  ExportStatement,
  FunctionDeclaration,
  ImportStatement,
  isTypeOmitted,
  NamedTypeNode,
  VariableStatement,
} from 'assemblyscript';

/** asc's CommonFlags.Export; its const enums are out of reach of single-file compilation. */
const EXPORTED = 2;

const HANDLERS = /** @type {const} */ (['onPacket', 'onBurst', 'onLoad']);
const SIGNATURES = {
  onPacket: { parameters: ['Packet'], result: 'Verdict' },
  onBurst: { parameters: ['Burst'], result: 'void' },
  onLoad: { parameters: [], result: 'void' },
};
const SHAPES = {
  onPacket: 'onPacket(packet: Packet): Verdict',
  onBurst: 'onBurst(burst: Burst): void',
  onLoad: 'onLoad(): void',
};

/** The source name of the generated entry: no file can have it. */
export const ENTRY_SOURCE = 'wirelet:entry.ts';

/**
 * The generated entry around a program.
 * @param {import('./job.js').Entry} entry
 * @param {boolean} hasLoad
 * @param {string} program import path of the author's file, without `.ts`
 */
export function entryText(entry, hasLoad, program) {
  const from = `'${program.replaceAll("'", "\\'")}'`;
  const lines = [
    "import { Walk } from '@wirelet/runtime/entry';",
    `import { ${entry === 'onPacket' ? entry : 'onBurst as program'} } from ${from};`,
    "export { wirelet_abi_1 } from '@wirelet/runtime/entry';",
    'export function onBurst(address: u32): void {',
  ];
  if (entry === 'onPacket') {
    lines.push(
      '  let packet = Walk.first(address);',
      '  const end = Walk.end(address);',
      '  do {',
      '    packet.verdict = onPacket(packet);',
      '    packet = Walk.next(packet);',
      '  } while (packet != end);',
    );
  } else {
    lines.push('  program(Walk.burst(address));');
  }
  lines.push('}');
  if (hasLoad) lines.push(`export { onLoad } from ${from};`);
  return `${lines.join('\n')}\n`;
}

/**
 * Looks at the author's file.
 * @param {Parser} parser
 * @param {Source} source
 * @returns {{ entry: import('./job.js').Entry | null, hasLoad: boolean,
 *   diagnostics: RawDiagnostic[] }}
 */
export function examine(parser, source) {
  const exports = exportsOf(parser, source, new Set());
  const diagnostics = [];
  for (const name of HANDLERS) {
    const found = exports.get(name);
    if (found) diagnostics.push(...checkSignature(name, found));
  }
  const packet = exports.get('onPacket');
  const burst = exports.get('onBurst');
  if (packet && burst) {
    const message = 'A program exports onPacket or onBurst, not both.';
    diagnostics.push(problem(message, burst.source, burst.range, packet.range));
  }
  if (!packet && !burst) diagnostics.push(missing(source, exports));
  const entry = packet ? 'onPacket' : burst ? 'onBurst' : null;
  return { entry, hasLoad: exports.has('onLoad'), diagnostics };
}

/**
 * @param {Source} source
 * @param {Map<string, Export>} exports
 * @returns {RawDiagnostic}
 */
function missing(source, exports) {
  const wanted = [`export function ${SHAPES.onPacket}`, `export function ${SHAPES.onBurst}`];
  for (const [name, found] of exports) {
    const handler = HANDLERS.find((each) => each.toLowerCase() === name.toLowerCase());
    if (handler && handler !== name) {
      const message = `This exports ${name}. Did you mean ${handler}?`;
      return problem(message, found.source, found.range);
    }
  }
  for (const statement of source.statements) {
    if (!(statement instanceof FunctionDeclaration)) continue;
    const name = statement.name.text;
    if (name !== 'onPacket' && name !== 'onBurst') continue;
    return problem(`${name} is not exported.`, source, statement.name.range);
  }
  const message = `This exports neither onPacket nor onBurst. Add \`${wanted[0]}\`.`;
  return problem(message, source, null);
}

/**
 * @param {string} message
 * @param {Source} source
 * @param {Range | null} range
 * @param {Range | null} related
 * @returns {RawDiagnostic}
 */
function problem(message, source, range, related = null) {
  /** @param {Range} each */
  const raw = (each) => {
    return { source: each.source.normalizedPath, start: each.start, end: each.end };
  };
  return {
    code: 'WIRELET_E_PROGRAM_ENTRY',
    severity: 'error',
    message,
    range: range ? raw(range) : { source: source.normalizedPath, start: 0, end: 0 },
    related: related ? raw(related) : null,
  };
}

/**
 * The exported names of a source; re-exports are followed through the program's own files.
 * @param {Parser} parser
 * @param {Source} source
 * @param {Set<Source>} seen
 * @returns {Map<string, Export>}
 */
function exportsOf(parser, source, seen) {
  /** @type {Map<string, Export>} */
  const exports = new Map();
  if (seen.has(source)) return exports;
  seen.add(source);
  for (const statement of source.statements) {
    if (statement instanceof ExportStatement) {
      const theirs = exportedBy(parser, source, statement, seen);
      for (const [name, found] of theirs) exports.set(name, found);
    }
    for (const declaration of declarationsOf(statement)) {
      if (!declaration.is(EXPORTED)) continue;
      exports.set(declaration.name.text, exported(source, declaration));
    }
  }
  return exports;
}

/**
 * `export { a as b }`, `export { a as b } from 'x'` and `export * from 'x'`.
 * @param {Parser} parser
 * @param {Source} source
 * @param {ExportStatement} node
 * @param {Set<Source>} seen
 * @returns {Map<string, Export>}
 */
function exportedBy(parser, source, node, seen) {
  const target = node.internalPath ? sourceNamed(parser, node.internalPath) : null;
  const theirs = target ? exportsOf(parser, target, seen) : new Map();
  if (!node.members) return node.internalPath ? theirs : new Map();
  /** @type {Map<string, Export>} */
  const exports = new Map();
  for (const member of node.members) {
    const local = member.localName.text;
    const range = member.exportedName.range;
    const found = node.path ? theirs.get(local) : declared(parser, source, local, seen);
    exports.set(member.exportedName.text, found ?? { source, declaration: null, range });
  }
  return exports;
}

/**
 * A name that the source declares or imports.
 * @param {Parser} parser
 * @param {Source} source
 * @param {string} name
 * @param {Set<Source>} seen
 * @returns {Export | null}
 */
function declared(parser, source, name, seen) {
  for (const statement of source.statements) {
    const own = declarationsOf(statement).find((each) => each.name.text === name);
    if (own) return exported(source, own);
    if (!(statement instanceof ImportStatement)) continue;
    const match = statement.declarations?.find((each) => each.name.text === name);
    if (!match) continue;
    const target = sourceNamed(parser, statement.internalPath);
    return target ? (exportsOf(parser, target, seen).get(match.foreignName.text) ?? null) : null;
  }
  return null;
}

/**
 * @param {Parser} parser
 * @param {string} internalPath
 */
function sourceNamed(parser, internalPath) {
  const named = [`${internalPath}.ts`, `${internalPath}/index.ts`];
  return parser.sources.find((each) => named.includes(each.normalizedPath)) ?? null;
}

/**
 * @param {import('assemblyscript').Node} statement
 * @returns {DeclarationStatement[]}
 */
function declarationsOf(statement) {
  if (statement instanceof VariableStatement) return statement.declarations;
  return statement instanceof DeclarationStatement ? [statement] : [];
}

/**
 * @param {Source} source
 * @param {DeclarationStatement} node
 * @returns {Export}
 */
function exported(source, node) {
  const declaration = node instanceof FunctionDeclaration ? node : null;
  return { source, declaration, range: node.name.range };
}

/**
 * @param {typeof HANDLERS[number]} name
 * @param {Export} found
 * @returns {RawDiagnostic[]}
 */
function checkSignature(name, found) {
  const { source, declaration } = found;
  const shape = SHAPES[name];
  const wrong = (/** @type {Range} */ range, /** @type {string} */ why) => [
    problem(`${why} It must be \`${shape}\`.`, source, range),
  ];
  if (!declaration?.body) return wrong(found.range, `${name} is no function declaration.`);
  if (declaration.typeParameters) return wrong(found.range, `${name} is generic.`);
  const wanted = SIGNATURES[name];
  const { parameters, returnType } = declaration.signature;
  if (parameters.length !== wanted.parameters.length) {
    return wrong(found.range, `${name} has ${parameters.length} parameters.`);
  }
  for (const [index, parameter] of parameters.entries()) {
    const type = wanted.parameters[index] ?? '';
    if (typeName(source, parameter.type) === type) continue;
    return wrong(parameter.range, `${name}'s parameter is no ${type}.`);
  }
  if (typeName(source, returnType) === wanted.result) return [];
  const range = isTypeOmitted(returnType) ? found.range : returnType.range;
  return wrong(range, `${name} does not return ${wanted.result}.`);
}

/**
 * The name of a type as its module exports it: `import { Packet as P }` makes P a Packet.
 * @param {Source} source
 * @param {TypeNode} type
 * @returns {string | null}
 */
function typeName(source, type) {
  if (!(type instanceof NamedTypeNode) || isTypeOmitted(type) || type.isNullable) return null;
  if (type.typeArguments?.length) return null;
  let last = type.name;
  while (last.next) last = last.next;
  const local = last.identifier.text;
  if (last !== type.name) return local;
  for (const statement of source.statements) {
    if (!(statement instanceof ImportStatement)) continue;
    const match = statement.declarations?.find((each) => each.name.text === local);
    if (match) return match.foreignName.text;
  }
  return local;
}
