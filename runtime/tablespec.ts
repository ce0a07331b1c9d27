import {
  NAME_BYTES_MAX,
  SIZEOF_TABLE_SPEC,
  TABLE_SPEC_CAPACITY,
  TABLE_SPEC_FLAGS,
  TABLE_SPEC_KEY_BYTES,
  TABLE_SPEC_KEY_TYPE,
  TABLE_SPEC_KEY_TYPE_BYTES,
  TABLE_SPEC_KIND,
  TABLE_SPEC_NAME,
  TABLE_SPEC_NAME_BYTES,
  TABLE_SPEC_VALUE_BYTES,
  TABLE_SPEC_VALUE_TYPE,
  TABLE_SPEC_VALUE_TYPE_BYTES,
} from './abi';
import { TableFields } from './tablefields';
import { Utf8 } from './utf8';
import { table } from './wirelet';

/** How a program asks for a table. While loading only. */
export class TableSpec {
  /** The table's address. The build finds the instances of this function: K and V are a schema. */
  static keyed<K, V>(name: string, kind: u32, flags: u32, capacity: u32): usize {
    store<u32>(spec, TableFields.bytes<K>(), TABLE_SPEC_KEY_BYTES);
    store<u32>(spec, TableFields.bytes<V>(), TABLE_SPEC_VALUE_BYTES);
    return open(name, kind, flags, capacity, nameof<K>(), nameof<V>());
  }

  /** As `keyed`, for elements by number. */
  static indexed<V>(name: string, kind: u32, capacity: u32): usize {
    store<u32>(spec, 0, TABLE_SPEC_KEY_BYTES);
    store<u32>(spec, TableFields.bytes<V>(), TABLE_SPEC_VALUE_BYTES);
    return open(name, kind, 0, capacity, '', nameof<V>());
  }

  /** As `keyed`, for prefixes of `keyBytes` and values of 31 bits. */
  static prefixes(name: string, kind: u32, flags: u32, capacity: u32, keyBytes: u32): usize {
    store<u32>(spec, keyBytes, TABLE_SPEC_KEY_BYTES);
    store<u32>(spec, 4, TABLE_SPEC_VALUE_BYTES);
    return open(name, kind, flags, capacity, '', 'u32');
  }
}

const TEXT_BYTES: u32 = NAME_BYTES_MAX + 4;
const spec: usize = memory.data(SIZEOF_TABLE_SPEC);
const texts: usize = memory.data(3 * TEXT_BYTES);

function open(
  name: string,
  kind: u32,
  flags: u32,
  capacity: u32,
  keyType: string,
  valueType: string,
): usize {
  if (place(name, 0, TABLE_SPEC_NAME, TABLE_SPEC_NAME_BYTES) == 0) refuse('a table needs a name');
  place(keyType, 1, TABLE_SPEC_KEY_TYPE, TABLE_SPEC_KEY_TYPE_BYTES);
  place(valueType, 2, TABLE_SPEC_VALUE_TYPE, TABLE_SPEC_VALUE_TYPE_BYTES);
  store<u32>(spec, kind, TABLE_SPEC_KIND);
  store<u32>(spec, flags, TABLE_SPEC_FLAGS);
  store<u32>(spec, capacity, TABLE_SPEC_CAPACITY);
  return <usize>table(<u32>spec, SIZEOF_TABLE_SPEC);
}

/** Writes a text to its place, and where it is to the spec. Returns its bytes. */
function place(text: string, index: u32, addressField: u32, bytesField: u32): u32 {
  const at = texts + index * TEXT_BYTES;
  const bytes = Utf8.encode(text, at, TEXT_BYTES);
  if (bytes > NAME_BYTES_MAX) refuse('names of tables and their types have 64 bytes at most');
  store<u32>(spec + addressField, <u32>at);
  store<u32>(spec + bytesField, bytes);
  return bytes;
}

function refuse(why: string): void {
  throw new RangeError(why);
}
