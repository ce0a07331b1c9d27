/** What the appliance does about requests for tables. */
import type { Appliance } from '../appliance.js';
import { WireletError } from '../error.js';
import type { TableItem } from '../tables/codec.js';
import { jsonReady } from '../tables/fields.js';
import type { FoundTable, TableRow } from '../tables/live.js';
import { ENTRIES_MAX, type Params, type Request } from './protocol.js';
import type { Sink } from './server.js';

/** Keys and values of a table that is being sent. */
interface Upload {
  found: FoundTable;
  keys: Uint8Array[];
  values: Uint8Array[];
}

/**
 * A table may have millions of keys, and all of them are held until the last has come: one table
 * at a time, whoever sends it.
 */
export class Uploads {
  #owner: object | undefined;

  take(owner: object): void {
    this.#owner ??= owner;
    if (this.#owner === owner) return;
    const message = 'another client is sending a table';
    throw new WireletError('WIRELET_E_CONTROL', message, { hint: 'Try again in a moment.' });
  }

  release(owner: object): void {
    if (this.#owner === owner) this.#owner = undefined;
  }
}

/** One client's. */
export class TableSession {
  readonly #appliance: Appliance;
  readonly #uploads: Uploads;
  #upload: Upload | undefined;

  constructor(appliance: Appliance, uploads: Uploads) {
    this.#appliance = appliance;
    this.#uploads = uploads;
  }

  /** Answers a request whose method begins with `table`. */
  async handle(request: Request, sink: Sink): Promise<unknown> {
    const { tables } = this.#appliance;
    switch (request.method) {
      case 'tableList':
        return tables.list();
      case 'tableGet':
        return this.#get(request.params);
      case 'tableSet': {
        const { table, codec } = tables.find(request.params.table);
        const { key, value, lcore } = request.params;
        await tables.setBytes(table, codec.parseKey(key), codec.parseValue(value), { lcore });
        return null;
      }
      case 'tableDelete': {
        const { table, codec } = tables.find(request.params.table);
        const { key, lcore } = request.params;
        return { found: await tables.deleteBytes(table, codec.parseKey(key), { lcore }) };
      }
      case 'tableExport':
        return this.#export(request.params, sink);
      case 'tableReplace':
        return this.#replace(request.params);
      default:
        throw new Error(`${request.method} is for no table`);
    }
  }

  close(): void {
    this.#upload = undefined;
    this.#uploads.release(this);
  }

  #get({ table, key }: Params<'tableGet'>): { values: (TableItem | null)[] } {
    const { tables } = this.#appliance;
    const found = tables.find(table);
    return { values: tables.getBytes(found, found.codec.parseLookup(key)) };
  }

  async #export({ table, lcore }: Params<'tableExport'>, sink: Sink): Promise<{ count: number }> {
    let count = 0;
    let part: Record<string, unknown>[] = [];
    for await (const row of this.#appliance.tables.entries(table, { lcore })) {
      count++;
      part.push(readyRow(row));
      if (part.length < ENTRIES_MAX) continue;
      await sink.entries(part);
      if (sink.gone) break;
      part = [];
    }
    await sink.entries(part);
    return { count };
  }

  /** Collects; the last part makes the table what was collected. */
  async #replace(params: Params<'tableReplace'>): Promise<{ count: number }> {
    this.#uploads.take(this);
    try {
      const upload = this.#collect(params);
      if (params.more) return { count: upload.keys.length };
      const { lcore } = params;
      const { tables } = this.#appliance;
      await tables.replaceBytes(upload.found.table, upload.keys, upload.values, { lcore });
      this.close();
      return { count: upload.keys.length };
    } catch (thrown) {
      // What was sent so far is of no use without this part.
      this.close();
      throw thrown;
    }
  }

  #collect({ table, entries }: Params<'tableReplace'>): Upload {
    const found = this.#appliance.tables.find(table);
    this.#upload ??= { found, keys: [], values: [] };
    const { program, name, capacity } = found.table;
    const before = this.#upload.found.table;
    if (before.program !== program || before.name !== name) {
      const message = `${table}: the parts before were for ${before.program}/${before.name}`;
      throw new WireletError('WIRELET_E_CONTROL', message);
    }
    if (this.#upload.keys.length + entries.length > capacity) {
      const message = `${program}/${name} holds ${capacity} keys, and more were sent`;
      throw new WireletError('WIRELET_E_TABLE_FULL', message);
    }
    for (const { key, value } of entries) {
      this.#upload.keys.push(found.codec.parseKey(key));
      this.#upload.values.push(found.codec.parseValue(value));
    }
    return this.#upload;
  }
}

/** 64-bit numbers as text, so that no reader rounds them. */
function readyRow({ key, value, lcore }: TableRow): Record<string, unknown> {
  return { key: ready(key), value: ready(value), lcore };
}

function ready(item: TableItem): unknown {
  return typeof item === 'string' ? item : jsonReady(item);
}
