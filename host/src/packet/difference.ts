/**
 * How two packets differ, for people: both in a line, then the fields that are not equal.
 *
 * ```text
 * - 02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 60: 192.0.2.1...
 * + 02:00:00:00:00:01 > 02:00:00:00:00:02, ethertype IPv4 (0x0800), length 60: 192.0.2.1...
 *
 *   at      expected  received
 *   0x0016  40        3f        IPv4 time to live
 *   0x0018  8e 99     8f 99     IPv4 checksum
 * ```
 */
import { tableText } from '../terminal/table.js';
import { type Field, fieldsOf } from './fields.js';
import { packetText } from './text.js';

/** Rows that are shown; more of them read like nothing at all. */
const ROWS_MAX = 12;
/** Bytes of a row: what has no fields is cut into pieces of this size. */
const ROW_BYTES = 8;

export interface DifferenceStyle {
  /** What the two are called; `expected` and `received` by default. */
  names?: readonly [string, string];
  /** Colours of the two lines. */
  paint?: readonly [(text: string) => string, (text: string) => string];
}

/** The difference between two packets; '' when there is none. */
export function packetDifference(
  expected: Uint8Array,
  received: Uint8Array,
  { names = ['expected', 'received'], paint }: DifferenceStyle = {},
): string {
  const fields = fieldDifference(expected, received, names);
  if (fields === '') return '';
  const lines = [
    `- ${packetText(expected, { link: true })}`,
    `+ ${packetText(received, { link: true })}`,
  ];
  const painted = paint ? [paint[0](lines[0] ?? ''), paint[1](lines[1] ?? '')] : lines;
  return `${painted.join('\n')}\n\n${fields}`;
}

/** The fields alone that are not equal, as a table; '' when there are none. */
export function fieldDifference(
  expected: Uint8Array,
  received: Uint8Array,
  names: readonly [string, string],
): string {
  const rows = differentRows(expected, received);
  if (rows.length === 0) return '';
  const columns = ['at', ...names, ''].map((title) => ({ title }));
  const shown = rows.slice(0, ROWS_MAX).map(({ start, texts, name }) => {
    return [`0x${start.toString(16).padStart(4, '0')}`, ...texts, name];
  });
  const table = tableText(columns, shown).replace(/^/gm, '  ');
  const rest = rows.length > ROWS_MAX ? `\n  ... ${rows.length - ROWS_MAX} more rows` : '';
  return `${table}${rest}`;
}

interface Row {
  start: number;
  /** Bytes of both, in hex. */
  texts: [string, string];
  name: string;
}

function differentRows(expected: Uint8Array, received: Uint8Array): Row[] {
  const moved = insertion(expected, received);
  if (moved) return [moved];
  const longer = received.length >= expected.length ? received : expected;
  const fields = fieldsOf(longer).flatMap(pieces);
  return fields.flatMap(({ name, start, end }) => {
    const [one, other] = [expected.subarray(start, end), received.subarray(start, end)];
    if (isEqual(one, other)) return [];
    return [{ start, texts: [hexText(one), hexText(other)], name }];
  });
}

/** Bytes that only one of the two has, when all others are equal: a tag, options, padding. */
function insertion(expected: Uint8Array, received: Uint8Array): Row | undefined {
  const [shorter, longer] =
    expected.length < received.length ? [expected, received] : [received, expected];
  const count = longer.length - shorter.length;
  if (count === 0) return undefined;
  let start = 0;
  while (start < shorter.length && shorter[start] === longer[start]) start++;
  if (!isEqual(shorter.subarray(start), longer.subarray(start + count))) return undefined;
  const bytes = hexText(longer.subarray(start, start + count));
  const texts: Row['texts'] = longer === expected ? [bytes, '-'] : ['-', bytes];
  return { start, texts, name: `${count} bytes that only one has` };
}

function pieces({ name, start, end }: Field): Field[] {
  const isField = end - start <= 2 * ROW_BYTES && !/payload|padding|options|extension/.test(name);
  if (isField) return [{ name, start, end }];
  return Array.from({ length: Math.ceil((end - start) / ROW_BYTES) }, (_, index) => {
    const from = start + index * ROW_BYTES;
    return { name, start: from, end: Math.min(end, from + ROW_BYTES) };
  });
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

const HEX_BYTES_MAX = 16;

function hexText(bytes: Uint8Array): string {
  if (bytes.length === 0) return '-';
  const shown = Array.from(bytes.subarray(0, HEX_BYTES_MAX), (byte) =>
    byte.toString(16).padStart(2, '0'),
  );
  return `${shown.join(' ')}${bytes.length > HEX_BYTES_MAX ? ' ...' : ''}`;
}
