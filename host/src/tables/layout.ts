/**
 * The fields of a table's keys or values, as the build writes them into the manifest: a type's name
 * and `source:u32@0,port:u16@4`, each field with its type and its offset in bytes.
 *
 * ```ts
 * parseLayout({ name: 'FlowKey', layout: 'source:u32@0,port:u16@4' }).bytes; // 6
 * ```
 */
import { WireletError } from '../error.js';
import type { NativeTableType } from '../native.js';

/** Bytes of each type that a field may have. */
export const FIELD_BYTES = {
  bool: 1,
  i8: 1,
  u8: 1,
  i16: 2,
  u16: 2,
  i32: 4,
  u32: 4,
  f32: 4,
  i64: 8,
  u64: 8,
  f64: 8,
} as const;

export type FieldType = keyof typeof FIELD_BYTES;

export interface Field {
  name: string;
  type: FieldType;
  /** Bytes from the start of the key or value. */
  offset: number;
}

export interface Layout {
  /** The type's name in the program: `FlowKey`, `u64`. */
  name: string;
  /** By offset. */
  fields: readonly Field[];
  /** Up to the end of the last field: what the engine calls the bytes of a key or value. */
  bytes: number;
  /** A number and no class: it is written without braces. */
  scalar: boolean;
}

/** Of a number type, whose only field has this name. */
export const SCALAR_FIELD = 'value';

const FIELD = /^([\p{ID_Start}_$][\p{ID_Continue}$]*):(\w+)@(\d{1,4})$/u;

/** @throws WIRELET_E_TABLE_SCHEMA when it is not what a build writes. */
export function parseLayout({ name, layout }: NativeTableType): Layout {
  const fields = layout === '' ? [] : layout.split(',').map((text) => parseField(name, text));
  let bytes = 0;
  for (const { name: field, type, offset } of fields) {
    if (offset < bytes) throw unreadable(name, `\`${field}\` begins within the field before it`);
    bytes = offset + FIELD_BYTES[type];
  }
  if (new Set(fields.map((each) => each.name)).size < fields.length) {
    throw unreadable(name, 'two fields have one name');
  }
  const [only] = fields;
  const scalar = fields.length === 1 && only?.name === SCALAR_FIELD && isFieldType(name);
  return { name, fields, bytes, scalar };
}

/** The fields as people read them: `source u32, port u16`. */
export function describeLayout({ name, fields, scalar }: Layout): string {
  return scalar ? name : fields.map((field) => `${field.name} ${field.type}`).join(', ');
}

export function isFieldType(text: string): text is FieldType {
  return Object.hasOwn(FIELD_BYTES, text);
}

function parseField(layout: string, text: string): Field {
  const [, name = '', type = '', offset = ''] = FIELD.exec(text) ?? [];
  if (!isFieldType(type)) throw unreadable(layout, `\`${text}\` is no field`);
  return { name, type, offset: Number(offset) };
}

function unreadable(name: string, why: string): WireletError {
  const message = `The fields of ${name || 'a table'} can't be read: ${why}.`;
  return new WireletError('WIRELET_E_TABLE_SCHEMA', message, {
    hint: 'Build the program again with this version of Wirelet.',
  });
}
