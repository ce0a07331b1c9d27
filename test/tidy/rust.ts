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

/** Lines above that may hold the reason: a statement broken over some, and its comment. */
const REASON_LINES = 8;

/** `unsafe` without a comment that says why it is sound, as `line: problem`. */
export function unsafeWithoutReason(text: string): string[] {
  const lines = text.split('\n');
  return lines.flatMap((line, index) => {
    const code = line.replace(/"(?:[^"\\]|\\.)*"/g, '""').replace(/\/\/.*$/, '');
    const block = /\bunsafe\s*(?:extern "" (?=fn))?(\{|impl\b|fn\b|trait\b|extern\b|$)/;
    const [, kind] = block.exec(code) ?? [];
    if (kind === undefined) return [];
    if (kind === 'fn') return isUndocumented(lines, index) ? [`${index + 1}: no # Safety`] : [];
    const above = lines.slice(Math.max(0, index - REASON_LINES), index + 1).join('\n');
    if (above.includes('SAFETY:')) return [];
    return [`${index + 1}: unsafe without SAFETY:`];
  });
}

/** A public unsafe function without the section that tells its callers what to promise. */
function isUndocumented(lines: string[], index: number): boolean {
  if (!/^\s*pub (const )?unsafe (extern "C" )?fn \w/.test(lines[index] ?? '')) return false;
  for (let above = index - 1; above >= 0; above--) {
    const line = (lines[above] ?? '').trim();
    if (/^\/\/.*# Safety/.test(line)) return false;
    if (!/^(\/\/|#\[)/.test(line)) return true;
  }
  return true;
}
