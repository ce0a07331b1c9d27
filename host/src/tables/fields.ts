/**
 * Keys and values of tables as people and programs of the host see them, and as bytes.
 *
 * ```ts
 * const layout = parseLayout({ name: 'FlowKey', layout: 'source:u32@0,port:u16@4' });
 * encodeFields(layout, { source: '10.0.0.1', port: 53 }); // 01 00 00 0a 35 00
 * decodeFields(layout, bytes); // { source: 167772161, port: 53 }
 * ```
 *
 * Integers that a double can't hold exactly are bigints, and decimal text in JSON.
 */
import { WireletError } from '../error.js';
import {
  describeLayout,
  FIELD_BYTES,
  type Field,
  type FieldType,
  type Layout,
  SCALAR_FIELD,
} from './layout.js';

export type FieldValue = number | bigint | boolean;
/** A number type is its value, a class its fields. */
export type TableValue = FieldValue | Record<string, FieldValue>;

/** What a field's bytes say. @throws WIRELET_E_TABLE_VALUE when there are too few. */
export function decodeFields(layout: Layout, bytes: Uint8Array): TableValue {
  if (bytes.length < layout.bytes) {
    throw wrong(layout, `${bytes.length} bytes are no ${layout.name}, which has ${layout.bytes}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: Record<string, FieldValue> = {};
  for (const field of layout.fields) values[field.name] = read(view, field);
  return layout.scalar ? (values[SCALAR_FIELD] ?? 0) : values;
}

/**
 * The bytes of a key or value; what lies between fields is zero. Every field must be there.
 * Integers may be text, too: decimal, `0x…`, and for a u32 an IPv4 address.
 * @throws WIRELET_E_TABLE_VALUE
 */
export function encodeFields(layout: Layout, value: unknown): Uint8Array {
  const bytes = new Uint8Array(layout.bytes);
  const view = new DataView(bytes.buffer);
  const values = layout.scalar && !isRecord(value) ? { [SCALAR_FIELD]: value } : value;
  if (!isRecord(values)) throw wrong(layout, `${shown(value)} has no fields`);
  for (const name of Object.keys(values)) {
    if (!layout.fields.some((field) => field.name === name)) {
      throw wrong(layout, `there is no field \`${name}\``);
    }
  }
  for (const field of layout.fields) {
    if (!Object.hasOwn(values, field.name)) throw wrong(layout, `\`${field.name}\` is missing`);
    const problem = write(view, field, values[field.name]);
    if (problem) throw wrong(layout, `\`${field.name}\`: ${problem}`);
  }
  return bytes;
}

/** A key or value as one line of JSON. */
export function fieldsToJson(value: TableValue): string {
  return JSON.stringify(jsonReady(value));
}

/** What JSON.stringify can take: bigints become decimal text. */
export function jsonReady(
  value: TableValue,
): number | string | boolean | Record<string, number | string | boolean> {
  if (typeof value !== 'object') return typeof value === 'bigint' ? String(value) : value;
  const ready = ([name, each]: [string, FieldValue]) => [
    name,
    typeof each === 'bigint' ? String(each) : each,
  ];
  return Object.fromEntries(Object.entries(value).map(ready));
}

/** The bytes of what is written in JSON; text without quotes is taken as text. */
export function encodeJson(layout: Layout, text: string): Uint8Array {
  return encodeFields(layout, parseJson(layout, text));
}

function parseJson(layout: Layout, text: string): unknown {
  // Digits are left as they are: JSON.parse would round those of a u64.
  if (layout.scalar && !/^\s*[{"]/.test(text)) return text.trim();
  try {
    return parseExact(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it is no JSON';
    throw wrong(layout, `\`${text}\` is no JSON: ${why}`, cause);
  }
}

/** JSON whose integers of 16 digits or more become text, which keeps all of them. */
export function parseExact(text: string): unknown {
  return JSON.parse(quoteIntegers(text));
}

function quoteIntegers(text: string): string {
  return text.replaceAll(JSON_STRING_OR_NUMBER, (part) =>
    /^-?\d{16,}$/.test(part) ? `"${part}"` : part,
  );
}

const JSON_STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

function read(view: DataView, { type, offset }: Field): FieldValue {
  switch (type) {
    case 'bool':
      return view.getUint8(offset) !== 0;
    case 'f32':
      return view.getFloat32(offset, true);
    case 'f64':
      return view.getFloat64(offset, true);
    case 'u64':
      return narrow(view.getBigUint64(offset, true));
    case 'i64':
      return narrow(view.getBigInt64(offset, true));
    default:
      return readSmall(view, type, offset);
  }
}

type SmallType = Exclude<FieldType, 'bool' | 'f32' | 'f64' | 'u64' | 'i64'>;

function readSmall(view: DataView, type: SmallType, offset: number): number {
  switch (type) {
    case 'u8':
      return view.getUint8(offset);
    case 'i8':
      return view.getInt8(offset);
    case 'u16':
      return view.getUint16(offset, true);
    case 'i16':
      return view.getInt16(offset, true);
    case 'u32':
      return view.getUint32(offset, true);
    case 'i32':
      return view.getInt32(offset, true);
  }
}

function narrow(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Why the value does not fit, or nothing. */
function write(view: DataView, { type, offset }: Field, value: unknown): string | undefined {
  if (type === 'bool') return writeBoolean(view, offset, value);
  if (type === 'f32' || type === 'f64') return writeFloat(view, type, offset, value);
  const integer = integerOf(type, value);
  if (integer === undefined) return `${shown(value)} is no whole number`;
  const bits = BigInt(FIELD_BYTES[type] * 8);
  const signed = type.startsWith('i');
  const least = signed ? -(1n << (bits - 1n)) : 0n;
  const most = (signed ? 1n << (bits - 1n) : 1n << bits) - 1n;
  if (integer < least || integer > most) return `${integer} is not from ${least} to ${most}`;
  let rest = BigInt.asUintN(64, integer);
  for (let at = offset; at < offset + FIELD_BYTES[type]; at++) {
    view.setUint8(at, Number(rest & 0xffn));
    rest >>= 8n;
  }
  return undefined;
}

function writeBoolean(view: DataView, offset: number, value: unknown): string | undefined {
  const truth = { true: true, false: false, 1: true, 0: false }[String(value)];
  if (truth === undefined) return `${shown(value)} is neither true nor false`;
  view.setUint8(offset, truth ? 1 : 0);
  return undefined;
}

function writeFloat(
  view: DataView,
  type: 'f32' | 'f64',
  offset: number,
  value: unknown,
): string | undefined {
  const isNumeric = typeof value === 'string' && value.trim() !== '';
  const number = typeof value === 'number' || isNumeric ? Number(value) : Number.NaN;
  if (!Number.isFinite(number)) return `${shown(value)} is no number`;
  if (type === 'f32') view.setFloat32(offset, number, true);
  else view.setFloat64(offset, number, true);
  return undefined;
}

function integerOf(type: FieldType, value: unknown): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : undefined;
  if (typeof value !== 'string') return undefined;
  if (/^-?\d{1,20}$/.test(value) || /^0x[\da-f]{1,16}$/i.test(value)) return BigInt(value);
  return type === 'u32' ? ipv4Of(value) : undefined;
}

/** As programs see addresses: 10.0.0.1 is 0x0a000001. */
function ipv4Of(text: string): bigint | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (!parts?.every((part) => part < 256)) return undefined;
  return parts.reduce((address, part) => (address << 8n) | BigInt(part), 0n);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  if (typeof value === 'bigint') return String(value);
  return JSON.stringify(value) ?? String(value);
}

function wrong(layout: Layout, why: string, cause?: unknown): WireletError {
  return new WireletError('WIRELET_E_TABLE_VALUE', `${why}.`, {
    hint: `${layout.name || 'It'} is: ${describeLayout(layout)}.`,
    details: { type: layout.name, fields: layout.fields },
    cause,
  });
}
