/**
 * Tables of programs that run: read while lcores write them, written by commands that the lcores
 * apply between two bursts.
 */
import { WireletError } from '../error.js';
import {
  coded,
  type NativeAppliance,
  type NativeTable,
  type NativeTableType,
  rethrowNative,
} from '../native.js';
import { didYouMean } from '../suggest.js';
import { TENANT_DEFAULT } from '../tenant.js';
import { type TableCodec, type TableItem, tableCodec } from './codec.js';

/** Entries that are read at once; the event loop goes on between two parts. */
const PART = 1000;
const ALL_LCORES = -1;

export interface TableInfo {
  tenant: string;
  program: string;
  name: string;
  /** `hash`, `lru`, `lpm4`, `lpm6` or `array`. */
  kind: string;
  /** One for all lcores, which only the host writes. */
  shared: boolean;
  persist: boolean;
  /** Of each lcore's. */
  capacity: number;
  /** Fields of keys and of values, as people read them. */
  key: string;
  value: string;
  /** One row in all for a shared table. */
  lcores: NativeTable['lcores'];
}

export interface TableEntry {
  key: TableItem;
  value: TableItem;
}

/** An entry and the lcore that has it; 0 for shared tables. */
export interface TableRow extends TableEntry {
  lcore: number;
}

export interface TableOptions {
  /** One of the lcores; all when it is missing. */
  lcore?: number | undefined;
}

/** What of the appliance is needed. */
export interface TableSurroundings {
  native: NativeAppliance;
  /** Remembers a call of the engine until it has ended. */
  track<T>(call: Promise<T>): Promise<T>;
  /** Types of keys and values of a program that runs. */
  typesOf(program: string): readonly NativeTableType[];
}

/** One table, found by its name. */
export interface FoundTable {
  table: NativeTable;
  codec: TableCodec;
}

/**
 * The tables of an appliance. A table's name is `program/table`.
 *
 * ```ts
 * await appliance.tables.set('guard/limits', '10.0.0.1', 100);
 * for await (const { key, value } of appliance.tables.entries('guard/flows')) show(key, value);
 * ```
 */
export class Tables {
  readonly #around: TableSurroundings;

  constructor(around: TableSurroundings) {
    this.#around = around;
  }

  list(): TableInfo[] {
    return this.#around.native.tables().map((table) => {
      const { program, name, kind, shared, persist, capacity, lcores } = table;
      const { keyText, valueText } = this.#codec(table);
      const shape = { kind, shared, persist, capacity, key: keyText, value: valueText };
      return { tenant: TENANT_DEFAULT, program, name, ...shape, lcores };
    });
  }

  /**
   * The table that is called so: `table` where only one program has it, `program/table`,
   * `tenant/program/table`.
   * @throws WIRELET_E_TABLE_UNKNOWN
   */
  find(name: string): FoundTable {
    const tables = this.#around.native.tables();
    const paths = tables.map((table) => `${table.program}/${table.name}`);
    const full = name.startsWith(`${TENANT_DEFAULT}/`)
      ? name.slice(TENANT_DEFAULT.length + 1)
      : name;
    const exact = tables[paths.indexOf(full)];
    const called = tables.filter((table) => table.name === name);
    const table = exact ?? (called.length === 1 ? called[0] : undefined);
    if (table) return { table, codec: this.#codec(table) };
    const why = called.length > 1 ? 'several programs have it' : `there is no such table`;
    const near = called.length > 1 ? '' : didYouMean(full, paths);
    throw new WireletError('WIRELET_E_TABLE_UNKNOWN', `${name}: ${why}${near}`, {
      hint: paths.length === 0 ? 'No program here has tables.' : `Tables: ${paths.join(', ')}.`,
    });
  }

  /** The value on each lcore, null where the key is not; of LPM tables, of an address. */
  get(name: string, key: unknown): (TableItem | null)[] {
    const found = this.find(name);
    return this.getBytes(found, found.codec.lookup(key));
  }

  /** Resolves when the lcores have it. @throws WIRELET_E_TABLE_VALUE, WIRELET_E_TABLE_FULL */
  async set(name: string, key: unknown, value: unknown, options: TableOptions = {}): Promise<void> {
    const { table, codec } = this.find(name);
    await this.setBytes(table, codec.key(key), codec.value(value), options);
  }

  /** False when the key was on none of the lcores. */
  async delete(name: string, key: unknown, options: TableOptions = {}): Promise<boolean> {
    const { table, codec } = this.find(name);
    return this.deleteBytes(table, codec.key(key), options);
  }

  /** Makes the table hold `entries` and nothing else; packets see all of it or nothing. */
  async replace(
    name: string,
    entries: Iterable<{ key: unknown; value: unknown }>,
    options: TableOptions = {},
  ): Promise<void> {
    const { table, codec } = this.find(name);
    const pairs = Array.from(
      entries,
      ({ key, value }) => [codec.key(key), codec.value(value)] as const,
    );
    const keys = pairs.map(([key]) => key);
    await this.replaceBytes(
      table,
      keys,
      pairs.map(([, value]) => value),
      options,
    );
  }

  /** Every entry, of one lcore or of all, while the lcores go on. */
  async *entries(name: string, options: TableOptions = {}): AsyncGenerator<TableRow> {
    const { table, codec } = this.find(name);
    const { native } = this.#around;
    const lcores = options.lcore === undefined ? [...table.lcores.keys()] : [options.lcore];
    for (const lcore of lcores) {
      for (let cursor = 0; cursor >= 0; ) {
        const from = cursor;
        const part = coded(() => native.tableRead(table.program, table.name, lcore, from, PART));
        const { keyBytes, valueBytes } = part;
        for (let index = 0; index < part.count; index++) {
          const key = part.keys.subarray(index * keyBytes, (index + 1) * keyBytes);
          const value = part.values.subarray(index * valueBytes, (index + 1) * valueBytes);
          yield { key: codec.decodeKey(key), value: codec.decodeValue(value), lcore };
        }
        cursor = part.next;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }

  /** As {@link get}, of bytes that are encoded. */
  getBytes({ table, codec }: FoundTable, key: Uint8Array): (TableItem | null)[] {
    const { native } = this.#around;
    const values = coded(() => native.tableGet(table.program, table.name, key));
    return values.map((value) => (value === null ? null : codec.decodeValue(value)));
  }

  async setBytes(
    { program, name }: NativeTable,
    key: Uint8Array,
    value: Uint8Array,
    { lcore = ALL_LCORES }: TableOptions,
  ): Promise<void> {
    const { native, track } = this.#around;
    await coded(() => track(native.tableSet(program, name, lcore, key, value))).catch(
      rethrowNative,
    );
  }

  deleteBytes(
    { program, name }: NativeTable,
    key: Uint8Array,
    { lcore = ALL_LCORES }: TableOptions,
  ): Promise<boolean> {
    const { native, track } = this.#around;
    return coded(() => track(native.tableDelete(program, name, lcore, key))).catch(rethrowNative);
  }

  async replaceBytes(
    { program, name }: NativeTable,
    keys: Uint8Array[],
    values: Uint8Array[],
    { lcore = ALL_LCORES }: TableOptions,
  ): Promise<void> {
    const { native, track } = this.#around;
    await coded(() => track(native.tableReplace(program, name, lcore, keys, values))).catch(
      rethrowNative,
    );
  }

  #codec(table: NativeTable): TableCodec {
    return tableCodec(table, this.#around.typesOf(table.program));
  }
}
