// A model of the engine's `table` import, for tests under V8: lays tables out as
// native/abi/src/table.rs says, and fills their entries.

import type { readAbi } from './abi.js';

type Abi = ReturnType<typeof readAbi>;

/** What a program asked for. */
export interface Spec {
  name: string;
  kind: number;
  flags: number;
  capacity: number;
  keyBytes: number;
  valueBytes: number;
  keyType: string;
  valueType: string;
}

/** A table that was laid out; addresses are the guest's. */
export interface LaidOut extends Spec {
  entry: number;
  groups: number;
  /** Of an LPM table, which tests fill themselves. */
  rootBits: number;
  stride: number;
  header: number;
  tags: number;
  ages: number;
  dirty: number;
  entries: number;
}

/** What tests may decide about every table. */
export interface TableOptions {
  seed?: bigint;
  /** Marks are to be seen: the mask is that of the groups. */
  marking?: boolean;
}

const padded = (bytes: number): number => (bytes + 7) & ~7;
const aligned = (at: number): number => (at + 63) & ~63;

export class Tables {
  readonly all = new Map<string, LaidOut>();
  #free: number;
  readonly #page: number;

  constructor(
    private readonly abi: Abi,
    private readonly memory: () => WebAssembly.Memory,
    private readonly options: TableOptions = {},
  ) {
    this.#page = abi.STATE_WINDOW + 0x2000;
    this.#free = abi.STATE_WINDOW + 0x20_0000;
  }

  /** The import. */
  open(spec: number, bytes: number): number {
    if (bytes !== this.abi.SIZEOF_TABLE_SPEC) throw new Error(`a spec of ${bytes} bytes`);
    const asked = this.#spec(spec);
    const known = this.all.get(asked.name);
    const table = known ?? this.#layOut(asked);
    this.all.set(asked.name, table);
    return table.entry;
  }

  /** The table of this name. */
  get(name: string): LaidOut {
    const table = this.all.get(name);
    if (!table) throw new Error(`no table ${name}`);
    return table;
  }

  /** Writes a table's entry, as the engine does between bursts. */
  publish(table: LaidOut): void {
    const view = new DataView(this.memory().buffer);
    const { abi } = this;
    const put = (offset: number, value: number): void =>
      view.setUint32(table.entry + offset, value, true);
    put(abi.TABLE_ENTRY_HEADER, table.header);
    put(abi.TABLE_ENTRY_TAGS, table.tags);
    put(abi.TABLE_ENTRY_ENTRIES, table.entries);
    put(abi.TABLE_ENTRY_AGES, table.ages);
    put(abi.TABLE_ENTRY_DIRTY, table.dirty);
    put(abi.TABLE_ENTRY_COPYING, this.options.marking ? 1 : 0);
    put(abi.TABLE_ENTRY_TAGS_MASK, table.rootBits || (table.groups - 1) * 16);
    put(abi.TABLE_ENTRY_CAPACITY, table.capacity);
    put(abi.TABLE_ENTRY_STRIDE, table.stride);
    put(abi.TABLE_ENTRY_VALUE_OFFSET, padded(table.keyBytes));
    put(abi.TABLE_ENTRY_KIND, table.kind);
    put(abi.TABLE_ENTRY_FLAGS, table.flags);
    const seed = this.options.seed ?? 0x1234_5678_9abc_def0n;
    view.setBigUint64(table.entry + abi.TABLE_ENTRY_SEED, seed, true);
  }

  /** Moves all that lies behind the tables' own memory: for tables that tests write themselves. */
  reserve(bytes: number): number {
    const at = this.#free;
    this.#free = aligned(at + bytes);
    return at;
  }

  #layOut(spec: Spec): LaidOut {
    const { abi } = this;
    const entry = this.#page + this.all.size * abi.SIZEOF_TABLE_ENTRY;
    const keyed = spec.kind === abi.TABLE_HASH || spec.kind === abi.TABLE_LRU;
    const groups = keyed ? 2 ** Math.ceil(Math.log2(Math.ceil(spec.capacity / 8))) : 1;
    const stride = padded(spec.keyBytes) + padded(spec.valueBytes);
    const header = this.reserve(abi.SIZEOF_TABLE_HEADER);
    const tags = this.reserve(keyed ? groups * 16 : spec.capacity * stride);
    const ages = this.reserve(spec.kind === abi.TABLE_LRU ? groups * 64 : 0);
    const dirty = this.reserve(keyed ? groups : 0);
    const entries = this.reserve(keyed ? groups * abi.TABLE_GROUP_ENTRIES * stride : 0);
    const table = {
      ...spec,
      entry,
      groups,
      rootBits: 0,
      stride,
      header,
      tags,
      ages,
      dirty,
      entries,
    };
    this.publish(table);
    return table;
  }

  #spec(at: number): Spec {
    const view = new DataView(this.memory().buffer);
    const { abi } = this;
    const word = (offset: number): number => view.getUint32(at + offset, true);
    const text = (address: number, bytes: number): string =>
      new TextDecoder('utf-8', { fatal: true }).decode(
        new Uint8Array(this.memory().buffer, word(address), word(bytes)),
      );
    return {
      name: text(abi.TABLE_SPEC_NAME, abi.TABLE_SPEC_NAME_BYTES),
      kind: word(abi.TABLE_SPEC_KIND),
      flags: word(abi.TABLE_SPEC_FLAGS),
      capacity: word(abi.TABLE_SPEC_CAPACITY),
      keyBytes: word(abi.TABLE_SPEC_KEY_BYTES),
      valueBytes: word(abi.TABLE_SPEC_VALUE_BYTES),
      keyType: text(abi.TABLE_SPEC_KEY_TYPE, abi.TABLE_SPEC_KEY_TYPE_BYTES),
      valueType: text(abi.TABLE_SPEC_VALUE_TYPE, abi.TABLE_SPEC_VALUE_TYPE_BYTES),
    };
  }
}
