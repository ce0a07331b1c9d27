/** Columns of text, aligned. */

export interface Column {
  title: string;
  /** Where its cells stand; default left. */
  align?: 'left' | 'right';
}

/** What SGR sequences take no room for. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with ESC
const COLORS = /\u001b\[[0-9;]*m/g;

/**
 * A table with a line of titles, two spaces between columns, nothing at the ends.
 *
 * ```ts
 * tableText([{ title: 'port' }, { title: 'rx', align: 'right' }], [['in', '10']]);
 * ```
 */
export function tableText(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string {
  const lines = [columns.map((column) => column.title), ...rows];
  const widths = columns.map((_, index) =>
    Math.max(...lines.map((line) => visibleLength(line[index] ?? ''))),
  );
  return lines
    .map((line) =>
      columns
        .map((column, index) => pad(line[index] ?? '', widths[index] ?? 0, column.align))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Indents every line by two spaces. */
export function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '  ');
}

function pad(text: string, width: number, align: Column['align']): string {
  const spaces = ' '.repeat(Math.max(0, width - visibleLength(text)));
  return align === 'right' ? spaces + text : text + spaces;
}

function visibleLength(text: string): number {
  return text.replace(COLORS, '').length;
}
