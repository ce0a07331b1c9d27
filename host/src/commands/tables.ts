/** `wirelet table list|get|set|delete|export`: tables of programs that run. */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { LCORES_MAX } from '../abi.js';
import type { ControlClient } from '../control/client.js';
import { WireletError } from '../error.js';
import { jsonText } from '../json.js';
import type { TableInfo } from '../tables/live.js';
import { grouped } from '../terminal/numbers.js';
import { tableText } from '../terminal/table.js';
import { withAppliance } from './appliance-client.js';
import type { Call, Options } from './command.js';

export async function list(call: Call): Promise<number> {
  const tables = await withAppliance(
    call,
    async (client) => (await client.ask('tableList', {})) as TableInfo[],
  );
  const none = 'no program here has tables';
  call.output.result(tables.length === 0 ? none : listText(tables));
  call.output.json('wirelet.table-list/1', { tables });
  return 0;
}

export async function get(call: Call): Promise<number> {
  const [table = '', key = ''] = call.arguments;
  const { values } = (await ask(call, (client) => client.ask('tableGet', { table, key }))) as {
    values: unknown[];
  };
  if (values.every((value) => value === null)) {
    throw new WireletError('WIRELET_E_TABLE_UNKNOWN', `${table}: ${key} is not in it`);
  }
  const lines = values.flatMap((value, lcore) =>
    value === null
      ? []
      : [values.length === 1 ? jsonText(value) : `lcore ${lcore}  ${jsonText(value)}`],
  );
  call.output.result(lines.join('\n'));
  call.output.json('wirelet.table-get/1', { table, key, values });
  return 0;
}

export async function set(call: Call): Promise<number> {
  const [table = '', key = '', value = ''] = call.arguments;
  const params = { table, key, value, ...lcoreOf(call.options) };
  await ask(call, (client) => client.ask('tableSet', params));
  call.output.message(`${table}: ${key} is set`);
  call.output.json('wirelet.table-set/1', params);
  return 0;
}

export async function remove(call: Call): Promise<number> {
  const [table = '', key = ''] = call.arguments;
  const params = { table, key, ...lcoreOf(call.options) };
  const { found } = (await ask(call, (client) => client.ask('tableDelete', params))) as {
    found: boolean;
  };
  if (!found) throw new WireletError('WIRELET_E_TABLE_UNKNOWN', `${table}: ${key} is not in it`);
  call.output.message(`${table}: ${key} is deleted`);
  call.output.json('wirelet.table-delete/1', params);
  return 0;
}

/** One line of JSON for each entry, as `table replace` reads them. */
export async function exportTable(call: Call): Promise<number> {
  const [table = ''] = call.arguments;
  const file = call.options.text('out');
  const out: Writable = file === undefined ? process.stdout : createWriteStream(file);
  const failed =
    file === undefined ? undefined : once(out, 'error').then(([cause]) => unwritable(file, cause));
  const onEntries = async (entries: Record<string, unknown>[]) => {
    const text = entries.map((entry) => `${jsonText(entry)}\n`).join('');
    if (!out.write(text)) await Promise.race([once(out, 'drain'), failed]);
  };
  const params = { table, ...lcoreOf(call.options) };
  const exported = ask(call, (client) => client.ask('tableExport', params, { onEntries }));
  const { count } = (await (failed ? Promise.race([exported, failed]) : exported)) as {
    count: number;
  };
  if (file !== undefined) await new Promise((resolve) => out.end(resolve));
  call.output.message(`${table}: ${entriesText(count)}`);
  return 0;
}

/** `1 entry`, `1,024 entries`. */
export function entriesText(count: number): string {
  return `${grouped(count)} ${count === 1 ? 'entry' : 'entries'}`;
}

/** `--lcore 1`. @throws WIRELET_E_USAGE */
export function lcoreOf(options: Options): { lcore?: number } {
  const lcore = options.whole('lcore', [0, LCORES_MAX - 1]);
  return lcore === undefined ? {} : { lcore };
}

function ask(call: Call, work: (client: ControlClient) => Promise<unknown>): Promise<unknown> {
  return withAppliance(call, work);
}

function unwritable(file: string, cause: unknown): never {
  const reason = cause instanceof Error ? cause.message : String(cause);
  throw new WireletError('WIRELET_E_OUTPUT', `${file}: ${reason}`, { cause });
}

function listText(tables: readonly TableInfo[]): string {
  const columns = [
    { title: 'table' },
    { title: 'kind' },
    { title: 'keys', align: 'right' as const },
    { title: 'capacity', align: 'right' as const },
    { title: 'key' },
    { title: 'value' },
  ];
  const rows = tables.map(({ program, name, kind, shared, capacity, lcores, key, value }) => [
    `${program}/${name}`,
    shared ? `${kind}, shared` : kind,
    lcores.map(({ count }) => grouped(count)).join(' + '),
    grouped(capacity),
    key,
    value,
  ]);
  return tableText(columns, rows);
}
