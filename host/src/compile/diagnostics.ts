/**
 * Diagnostics as editors want them: a code, a place that starts at 1:1, and a frame to look at.
 *
 * ```
 * programs/drop/index.ts:4:10 error TS2304: Cannot find name 'Verdct'.
 *   2 |
 *   3 | export function onPacket(packet: Packet): Verdict {
 * > 4 |   return Verdct.Drop;
 *     |          ^^^^^^
 *   5 | }
 * ```
 */
import path from 'node:path';
import { createColors } from 'picocolors';
import type { CompileReply, RawDiagnostic, RawRange } from './job.js';

export interface Diagnostic {
  /** `TS2304`, `AS100`, or a code of Wirelet's own. */
  code: string;
  severity: 'error' | 'warning' | 'info';
  message: string;
  /** Relative to the working directory; `~lib/...` inside asc. */
  file: string;
  line: number;
  column: number;
  /** Behind the last character, on the same line. */
  endColumn: number;
  /** The lines around, without colour; '' when the text is not at hand. */
  frame: string;
}

export interface Place {
  file: string;
  line: number;
  column: number;
  endColumn: number;
  frame: string;
}

const SHOWN_MAX = 10;
const LINES_BEFORE = 2;
const LINES_AFTER = 1;
const LINE_WIDTH_MAX = 160;

export type Sources = CompileReply['sources'];

/** asc's diagnostics, each once, placed in the author's text where there is a choice. */
export function readDiagnostics(
  raw: readonly RawDiagnostic[],
  sources: Sources,
  entry: string,
  cwd: string,
): Diagnostic[] {
  const diagnostics = new Map<string, Diagnostic>();
  for (const each of raw) {
    const range = authorRange(each) ?? { source: entry, start: 0, end: 0 };
    const place = placeOf(range, sources, cwd);
    const { severity, message } = each;
    const code = codeText(each.code);
    const key = `${place.file}:${place.line}:${place.column}:${code}:${message}`;
    if (!diagnostics.has(key)) diagnostics.set(key, { code, severity, message, ...place });
  }
  return [...diagnostics.values()];
}

/** asc points at library code and relates it to the caller: the caller is what to mend. */
function authorRange({ range, related }: RawDiagnostic): RawRange | null {
  const places = [range, related].filter((each) => each !== null);
  const isAuthors = (each: RawRange) => !/^(~lib\/|wirelet:)/.test(each.source);
  return places.find(isAuthors) ?? places.find((each) => each.source.startsWith('~')) ?? null;
}

function codeText(code: number | string): string {
  if (typeof code === 'string') return code;
  return code < 1000 ? `AS${code}` : `TS${code}`;
}

/** The line and columns of a range, and its frame. */
export function placeOf(range: RawRange, sources: Sources, cwd: string): Place {
  const source = sources[range.source];
  const file = source?.path ? displayPath(source.path, cwd) : range.source;
  if (!source) return { file, line: 1, column: 1, endColumn: 1, frame: '' };
  const before = source.text.slice(0, range.start);
  const line = before.split('\n').length;
  const column = range.start - (before.lastIndexOf('\n') + 1) + 1;
  const newline = source.text.indexOf('\n', range.start);
  const lineEnd = newline < 0 ? source.text.length : newline;
  const endColumn = column + Math.max(1, Math.min(range.end, lineEnd) - range.start);
  return { file, line, column, endColumn, frame: frameOf(source.text, line, column, endColumn) };
}

/** A path relative to the working directory, unless that would climb far. */
export function displayPath(file: string, cwd: string): string {
  const relative = path.relative(cwd, file);
  return relative.startsWith(path.join('..', '..')) ? file : relative;
}

/** The lines around a place with a caret under it. */
export function frameOf(text: string, line: number, column: number, endColumn: number): string {
  const lines = text.split(/\r?\n/);
  const first = Math.max(1, line - LINES_BEFORE);
  const last = Math.min(lines.length, line + LINES_AFTER);
  const width = String(last).length;
  const shown: string[] = [];
  for (let number = first; number <= last; number++) {
    const content = (lines[number - 1] ?? '').slice(0, LINE_WIDTH_MAX);
    const mark = number === line ? '>' : ' ';
    shown.push(`${mark} ${String(number).padStart(width)} | ${content}`.trimEnd());
    if (number !== line) continue;
    const indent = content.slice(0, column - 1).replace(/[^\t]/g, ' ');
    const carets = '^'.repeat(Math.max(1, Math.min(endColumn - column, LINE_WIDTH_MAX)));
    if (column <= LINE_WIDTH_MAX) shown.push(`  ${' '.repeat(width)} | ${indent}${carets}`);
  }
  return shown.join('\n');
}

export interface FormatOptions {
  color?: boolean;
  /** Diagnostics shown; the rest is counted in one line. */
  limit?: number;
}

/** Diagnostics as a terminal shows them: errors first, a bounded number. */
export function formatDiagnostics(
  diagnostics: readonly Diagnostic[],
  { color = false, limit = SHOWN_MAX }: FormatOptions = {},
): string {
  const rank = { error: 0, warning: 1, info: 2 };
  const sorted = [...diagnostics].sort((a, b) => rank[a.severity] - rank[b.severity]);
  const shown = sorted.slice(0, limit).map((each) => formatDiagnostic(each, color));
  if (sorted.length > limit) shown.push(`and ${sorted.length - limit} more`);
  return shown.join('\n\n');
}

function formatDiagnostic(diagnostic: Diagnostic, color: boolean): string {
  const { bold, cyan, dim, red, yellow } = createColors(color);
  const { file, line, column, severity, code, message, frame } = diagnostic;
  const paint = severity === 'error' ? red : yellow;
  const head = `${cyan(`${file}:${line}:${column}`)} ${paint(severity)} ${dim(code)}: ${message}`;
  if (!frame) return head;
  const painted = frame.split('\n').map((row) => {
    if (/^ +\| [\s]*\^+$/.test(row)) return paint(row);
    return row.startsWith('>') ? bold(row) : dim(row);
  });
  return [head, ...(color ? painted : [frame])].join('\n');
}
