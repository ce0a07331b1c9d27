/** Rules about Rust, by its lines: rustfmt has made them regular. */

const FUNCTION = /^(\s*)(?:pub(?:\([^)]*\))? )?(?:(?:const|async|unsafe|extern "C") )*fn (\w+)/;

/** Functions of more than `max` lines, from signature to closing brace, as `line: problem`. */
export function longFunctionsInRust(text: string, max: number): string[] {
  const lines = text.split('\n');
  return lines.flatMap((line, start) => {
    const [, indent, name] = FUNCTION.exec(line) ?? [];
    if (indent === undefined) return [];
    const end = endOfFunction(lines, start, indent);
    const count = end - start + 1;
    return count > max ? [`${start + 1}: ${name} has ${count} lines`] : [];
  });
}

function endOfFunction(lines: string[], start: number, indent: string): number {
  for (let index = start; index < lines.length; index++) {
    const line = lines[index] ?? '';
    // Declared only, or all on one line.
    const opened = line.startsWith(`${indent}}`) || line.endsWith('{');
    if (index === start && /[;}]$/.test(line)) return index;
    if (!opened && line.endsWith(';') && !lines.slice(start, index).some(opensBlock)) return index;
    if (index > start && line === `${indent}}`) return index;
  }
  return lines.length - 1;
}

function opensBlock(line: string): boolean {
  return line.endsWith('{');
}

/** How many lines above may hold the reason: a statement broken over some lines, and its comment. */
const REASON_LINES = 8;

/** `unsafe` without a comment that says why it is sound, as `line: problem`. */
export function unsafeWithoutReason(text: string): string[] {
  const lines = text.split('\n');
  return lines.flatMap((line, index) => {
    const code = line.replace(/"(?:[^"\\]|\\.)*"/g, '""').replace(/\/\/.*$/, '');
    const [, kind] = /\bunsafe\s*(\{|impl\b|fn\b|trait\b|extern\b|$)/.exec(code) ?? [];
    if (kind === undefined) return [];
    const above = lines.slice(Math.max(0, index - REASON_LINES), index + 1).join('\n');
    const declares = kind === 'fn' && !/\bunsafe fn\(/.test(code);
    if (declares)
      return hasSafetyDoc(lines, index) ? [] : [`${index + 1}: unsafe fn without # Safety`];
    // The type of a function pointer promises nothing.
    if (kind === 'fn' || above.includes('SAFETY:')) return [];
    return [`${index + 1}: unsafe without SAFETY:`];
  });
}

/** Whether the doc comment right above has the section that rustdoc wants. */
function hasSafetyDoc(lines: string[], index: number): boolean {
  for (let above = index - 1; above >= 0; above--) {
    const line = (lines[above] ?? '').trim();
    if (/^\/\/.*(# Safety|SAFETY:)/.test(line)) return true;
    if (!/^(\/\/|#\[)/.test(line)) return false;
  }
  return false;
}
