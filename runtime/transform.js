// An asc transform: what the compiler does to an author's files beside compiling them.
//
// 1. It marks `onPacket` as `@inline`, so that the burst loop of the build's wrapper contains it.
//    Binaryen alone would leave a call per packet (2 to 3 ns) in any program that is not tiny,
//    because it first inlines onPacket's helpers into it and then finds it too large. A decorator
//    in the author's own file would do the same, but formatters refuse those on functions.
// 2. It gives classes of number fields the methods that put their fields together to words, for
//    tables: `tablefields.ts` says why. What nobody calls is not compiled.

import {
  ClassDeclaration,
  FieldDeclaration,
  MethodDeclaration,
  NamedTypeNode,
  Node,
  Parser,
} from 'assemblyscript';
import { Transform } from 'assemblyscript/transform';

/** Bytes of the types that a field may have. */
const FIELD_BYTES = new Map([
  ['bool', 1],
  ['i8', 1],
  ['u8', 1],
  ['i16', 2],
  ['u16', 2],
  ['i32', 4],
  ['u32', 4],
  ['f32', 4],
  ['isize', 4],
  ['usize', 4],
  ['i64', 8],
  ['u64', 8],
  ['f64', 8],
]);
/** asc's CommonFlags.Static; its const enums are no values here. */
const STATIC = 32;

export default class AroundPrograms extends Transform {
  afterParse(parser) {
    for (const source of parser.sources) {
      if (source.normalizedPath.startsWith('~lib/') && !isTables(source)) continue;
      for (const statement of source.statements) {
        if (statement.name?.text === 'onPacket' && statement.signature !== undefined) {
          inline(statement);
        }
        if (statement instanceof ClassDeclaration) addWords(statement);
      }
    }
  }
}

/** The guest SDK's own values are such classes, too. */
function isTables({ normalizedPath }) {
  return normalizedPath.startsWith('~lib/@wirelet/runtime/');
}

function inline(declaration) {
  const { range } = declaration;
  const name = Node.createIdentifierExpression('inline', range);
  const decorator = Node.createDecorator(name, null, range);
  declaration.decorators = [...(declaration.decorators ?? []), decorator];
}

function addWords(declaration) {
  if (declaration.typeParameters?.length || declaration.extendsType) return;
  const words = wordsOf(declaration);
  if (!words?.length) return;
  for (const method of parseMethods(methodsText(words))) {
    place(method, declaration.name.range);
    declaration.members.push(method);
  }
}

/** Each word as the expression that makes it; null when a field is of no such type. */
function wordsOf(declaration) {
  const words = [];
  let offset = 0;
  for (const member of declaration.members) {
    if (!(member instanceof FieldDeclaration) || member.is(STATIC)) continue;
    const type = typeOf(member);
    const bytes = FIELD_BYTES.get(type);
    if (bytes === undefined) return null;
    offset = Math.ceil(offset / bytes) * bytes;
    const part = shifted(`this.${member.name.text}`, type, bytes, (offset % 8) * 8);
    const index = Math.floor(offset / 8);
    words[index] = words[index] === undefined ? part : `${words[index]} | ${part}`;
    offset += bytes;
  }
  return words;
}

function typeOf({ type }) {
  if (!(type instanceof NamedTypeNode) || type.isNullable || type.name.next) return '';
  return type.name.identifier.text;
}

function shifted(field, type, bytes, bits) {
  const integer = { f32: `reinterpret<u32>(${field})`, f64: `reinterpret<u64>(${field})` }[type];
  const word = bytes === 8 ? `<u64>${integer ?? field}` : `<u64><u${bytes * 8}>${integer ?? field}`;
  return bits === 0 ? `(${word})` : `((${word}) << ${bits})`;
}

function methodsText(words) {
  const each = (line) => words.map(line).join('\n');
  const differences = words.map((word, i) => `WireletWords.differ(at, ${i * 8}, ${word})`);
  return `class Words {
    @inline __wireletHash(hash: u64): u64 {
      ${each((word) => `hash = WireletWords.mix(hash, ${word});`)}
      return hash;
    }
    @inline __wireletEquals(at: usize): bool {
      return (${differences.join(' | ')}) == 0;
    }
    @inline __wireletWrite(at: usize): void {
      ${each((word, i) => `WireletWords.put(at, ${i * 8}, ${word});`)}
    }
  }`;
}

function parseMethods(text) {
  const parser = new Parser();
  parser.parseFile(text, 'wirelet:words.ts', true);
  const [{ members }] = parser.sources[0].statements;
  return members.filter((member) => member instanceof MethodDeclaration);
}

/** Puts nodes where the class is named: diagnostics and source map then lead to the author. */
function place(node, range) {
  for (const [key, value] of Object.entries(node)) {
    if (key === 'range') node.range = range;
    else if (Array.isArray(value))
      for (const each of value) if (each instanceof Node) place(each, range);
    if (value instanceof Node) place(value, range);
  }
}
