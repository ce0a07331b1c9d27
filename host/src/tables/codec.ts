/**
 * A table's keys and values between bytes and what people write: fields of classes and numbers,
 * prefixes of LPM tables, numbers of elements of arrays.
 */
import { WireletError } from '../error.js';
import type { NativeTable, NativeTableType } from '../native.js';
import { addressText, ipv4Address, ipv6Address } from '../packet/bytes.js';
import { decodeFields, encodeFields, encodeJson, type TableValue } from './fields.js';
import { describeLayout, isFieldType, type Layout, parseLayout, SCALAR_FIELD } from './layout.js';

/** Of a key of an array. */
const INDEX: Layout = parseLayout({ name: 'u32', layout: `${SCALAR_FIELD}:u32@0` });
const ADDRESS_BYTES = { lpm4: 4, lpm6: 16 } as const;

/** A key or value; text is a prefix or, of an unknown type, bytes in hexadecimal. */
export type TableItem = TableValue | string;

export interface TableCodec {
  /** `source u32, port u16`; `10.0.0.0/8`. */
  keyText: string;
  valueText: string;
  /** What `set` and `delete` take. @throws WIRELET_E_TABLE_VALUE */
  key(value: unknown): Uint8Array;
  /** What `get` takes: of LPM tables an address. @throws WIRELET_E_TABLE_VALUE */
  lookup(value: unknown): Uint8Array;
  value(value: unknown): Uint8Array;
  decodeKey(bytes: Uint8Array): TableItem;
  decodeValue(bytes: Uint8Array): TableItem;
  /** The same for what is written as JSON, or as plain text. */
  parseKey(text: string): Uint8Array;
  parseLookup(text: string): Uint8Array;
  parseValue(text: string): Uint8Array;
}

/** Of `table`, whose program's manifest has `types`. */
export function tableCodec(table: NativeTable, types: readonly NativeTableType[]): TableCodec {
  const value = fieldsPart(table.valueType, table.valueBytes, types);
  const common = {
    valueText: value.text,
    value: value.encode,
    decodeValue: value.decode,
    parseValue: value.parse,
  };
  if (table.kind === 'lpm4' || table.kind === 'lpm6') {
    return { ...common, ...prefixKeys(table.kind) };
  }
  const key =
    table.kind === 'array' ? layoutPart(INDEX) : fieldsPart(table.keyType, table.keyBytes, types);
  return {
    ...common,
    keyText: table.kind === 'array' ? 'number of the element' : key.text,
    key: key.encode,
    lookup: key.encode,
    decodeKey: key.decode,
    parseKey: key.parse,
    parseLookup: key.parse,
  };
}

interface Part {
  text: string;
  encode(value: unknown): Uint8Array;
  decode(bytes: Uint8Array): TableItem;
  parse(text: string): Uint8Array;
}

function fieldsPart(name: string, bytes: number, types: readonly NativeTableType[]): Part {
  const type = types.find((each) => each.name === name);
  if (type) return layoutPart(parseLayout(type));
  // A module from elsewhere may say nothing of its types; numbers speak for themselves.
  if (isFieldType(name))
    return layoutPart(parseLayout({ name, layout: `${SCALAR_FIELD}:${name}@0` }));
  return bytesPart(name, bytes);
}

function layoutPart(layout: Layout): Part {
  return {
    text: describeLayout(layout),
    encode: (value) => encodeFields(layout, value),
    decode: (bytes) => decodeFields(layout, bytes),
    parse: (text) => encodeJson(layout, text),
  };
}

function bytesPart(name: string, bytes: number): Part {
  const encode = (value: unknown): Uint8Array => {
    const digits = new RegExp(`^([0-9a-f]{2}){${bytes}}$`, 'i');
    if (typeof value === 'string' && digits.test(value)) return Buffer.from(value, 'hex');
    throw wrong(
      `${shown(value)} is not ${bytes} bytes in hexadecimal`,
      `${name || 'It'} has no fields.`,
    );
  };
  return {
    text: `${bytes} bytes in hexadecimal`,
    encode,
    decode: (each) => Buffer.from(each).toString('hex'),
    parse: (text) => encode(unquoted(text)),
  };
}

/** Keys of LPM tables: bytes of an address, and one with the length of the prefix. */
function prefixKeys(kind: 'lpm4' | 'lpm6') {
  const bytes = ADDRESS_BYTES[kind];
  const example = kind === 'lpm4' ? '10.0.0.0/8' : '2001:db8::/32';
  // Chosen here, once: a comparison in the closure, of a string that came from the addon, was false
  // in 1 of 40 processes from the moment on when V8 had optimised it (seen on Node 20.20).
  const parse = kind === 'lpm4' ? ipv4Address : ipv6Address;
  const address = (value: unknown, text: string): Uint8Array => {
    try {
      return parse(text);
    } catch {
      throw wrong(`${shown(value)} is no address of this table`, `Such as ${example}.`);
    }
  };
  const key = (value: unknown): Uint8Array => {
    const [, text = '', length = ''] = /^([^/]+)\/(\d{1,3})$/.exec(String(value)) ?? [];
    const bits = Number(length);
    if (text === '' || bits > bytes * 8) {
      throw wrong(`${shown(value)} is no prefix of this table`, `Such as ${example}.`);
    }
    const network = address(value, text);
    if (!isNetwork(network, bits)) {
      throw wrong(`${shown(value)} has bits behind its prefix`, 'A prefix ends in zeros.');
    }
    return Uint8Array.of(...network, bits);
  };
  const lookup = (value: unknown): Uint8Array => address(value, String(value));
  return {
    keyText: `prefix such as ${example}`,
    key,
    lookup,
    decodeKey: (each: Uint8Array) => `${addressText(each.subarray(0, bytes))}/${each[bytes] ?? 0}`,
    parseKey: (text: string) => key(unquoted(text)),
    parseLookup: (text: string) => lookup(unquoted(text)),
  };
}

/** Whether all bits from `bits` on are zero. */
function isNetwork(address: Uint8Array, bits: number): boolean {
  return address.every((byte, index) => {
    const kept = Math.min(8, Math.max(0, bits - index * 8));
    return (byte & (0xff >> kept)) === 0;
  });
}

/** JSON text may be in quotes on a command line, too. */
function unquoted(text: string): string {
  return /^\s*"(.*)"\s*$/.exec(text)?.[1] ?? text.trim();
}

function wrong(why: string, hint: string): WireletError {
  return new WireletError('WIRELET_E_TABLE_VALUE', `${why}.`, { hint });
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
