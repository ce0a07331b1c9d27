/** A table of a program under test: read and written between bursts. */
import { coded, type NativeRunner, type NativeTable, type NativeTableType } from '../native.js';
import { type TableCodec, type TableItem, tableCodec } from '../tables/codec.js';
import type { TableEntry } from '../tables/live.js';

/** Entries that are read at once. */
const PART = 1000;

/**
 * Keys and values are numbers or objects with the fields of their class; a key of an LPM table is a
 * prefix such as `10.0.0.0/8`.
 *
 * ```ts
 * program.table('flows').get({ source: '10.0.0.1', port: 53 }); // { packets: 2 }
 * ```
 */
export class TestTable {
  /** The one of now: a reset makes another. */
  readonly #runner: () => NativeRunner;
  readonly #name: string;
  readonly #codec: TableCodec;

  /** Use `program.table(name)`. */
  constructor(runner: () => NativeRunner, table: NativeTable, types: readonly NativeTableType[]) {
    this.#runner = runner;
    this.#name = table.name;
    this.#codec = tableCodec(table, types);
  }

  /** Undefined where the key is not. Of an LPM table, the longest match of an address. */
  get(key: unknown): TableItem | undefined {
    const bytes = this.#codec.lookup(key);
    const value = coded(() => this.#runner().tableGet(this.#name, bytes));
    return value === null ? undefined : this.#codec.decodeValue(value);
  }

  /** @throws WIRELET_E_TABLE_VALUE, WIRELET_E_TABLE_FULL */
  set(key: unknown, value: unknown): void {
    const [keyBytes, valueBytes] = [this.#codec.key(key), this.#codec.value(value)];
    coded(() => this.#runner().tableSet(this.#name, keyBytes, valueBytes));
  }

  /** False when the key was not there. */
  delete(key: unknown): boolean {
    const bytes = this.#codec.key(key);
    return coded(() => this.#runner().tableDelete(this.#name, bytes));
  }

  /** All of it, in no order. */
  get entries(): TableEntry[] {
    const entries: TableEntry[] = [];
    for (let cursor = 0; cursor >= 0; ) {
      const part = coded(() => this.#runner().tableRead(this.#name, cursor, PART));
      const { count, keys, values, keyBytes, valueBytes } = part;
      for (let index = 0; index < count; index++) {
        const key = keys.subarray(index * keyBytes, (index + 1) * keyBytes);
        const value = values.subarray(index * valueBytes, (index + 1) * valueBytes);
        entries.push({ key: this.#codec.decodeKey(key), value: this.#codec.decodeValue(value) });
      }
      cursor = part.next;
    }
    return entries;
  }
}
