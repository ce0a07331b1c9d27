// An asc transform: marks an author's `onPacket` as `@inline`, so that the burst loop of the
// build's wrapper contains it. Binaryen alone would leave a call per packet (2 to 3 ns) in any
// program that is not tiny, because it first inlines onPacket's helpers into it and then finds it
// too large. A decorator in the author's own file would do the same, but formatters refuse those on
// functions.

import { Node } from 'assemblyscript';
import { Transform } from 'assemblyscript/transform';

export default class InlineOnPacket extends Transform {
  afterParse(parser) {
    for (const source of parser.sources) {
      if (source.isLibrary) continue;
      for (const statement of source.statements) {
        if (statement.name?.text !== 'onPacket' || statement.signature === undefined) continue;
        const { range } = statement;
        const name = Node.createIdentifierExpression('inline', range);
        const decorator = Node.createDecorator(name, null, range);
        statement.decorators = [...(statement.decorators ?? []), decorator];
      }
    }
  }
}
