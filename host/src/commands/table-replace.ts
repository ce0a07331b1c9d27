/** `wirelet table replace`: a whole table from a file or stdin, flipped at once. */
import { readFileSync } from 'node:fs';
import type { ControlClient } from '../control/client.js';
import { ENTRIES_MAX } from '../control/protocol.js';
import { WireletError } from '../error.js';
import { parseExact } from '../tables/fields.js';
import { withAppliance } from './appliance-client.js';
import type { Call } from './command.js';
import { entriesText, lcoreOf } from './tables.js';

/** Characters of one request; its limit is four times this. */
const PART_CHARACTERS = 1 << 20;

interface Entry {
  key: string;
  value: string;
}

/** Entries by lcore; undefined: for all. */
type Groups = Map<number | undefined, Entry[]>;

export async function run(call: Call): Promise<number> {
  const [table = '', file = '-'] = call.arguments;
  const { lcore } = lcoreOf(call.options);
  const groups = readEntries(file, lcore);
  let count = 0;
  await withAppliance(call, async (client) => {
    for (const [of, entries] of groups) count += await send(client, table, of, entries);
  });
  call.output.message(`${table}: holds ${entriesText(count)} now`);
  call.output.json('wirelet.table-replace/1', { table, count });
  return 0;
}

/** Sends one lcore's entries, or everybody's, in parts. */
async function send(
  client: ControlClient,
  table: string,
  lcore: number | undefined,
  entries: readonly Entry[],
): Promise<number> {
  const of = lcore === undefined ? {} : { lcore };
  let part: Entry[] = [];
  let characters = 0;
  for (const entry of entries) {
    const size = entry.key.length + entry.value.length;
    if (part.length === ENTRIES_MAX || characters + size > PART_CHARACTERS) {
      await client.ask('tableReplace', { table, ...of, entries: part, more: true });
      [part, characters] = [[], 0];
    }
    part.push(entry);
    characters += size;
  }
  await client.ask('tableReplace', { table, ...of, entries: part, more: false });
  return entries.length;
}

/** What `table export` wrote goes back to the lcores that it came from, unless --lcore says one. */
function readEntries(file: string, lcore: number | undefined): Groups {
  const groups: Groups = new Map();
  for (const [index, value] of readValues(file).entries()) {
    const where = `${file === '-' ? 'stdin' : file}, entry ${index + 1}`;
    const { lcore: from, ...entry } = entryOf(value, where);
    const of = lcore ?? from;
    const group = groups.get(of) ?? [];
    groups.set(of, group);
    group.push(entry);
  }
  if (groups.has(undefined) && groups.size > 1) {
    throw new WireletError(
      'WIRELET_E_TABLE_VALUE',
      `${file}: some entries have an lcore, some not`,
    );
  }
  return groups.size === 0 ? new Map([[lcore, []]]) : groups;
}

/** A list, or a value on each line. */
function readValues(file: string): unknown[] {
  const text = readText(file);
  if (/^\s*\[/.test(text)) {
    const list = parsed(text, file);
    return Array.isArray(list) ? list : [list];
  }
  const lines = text.split('\n');
  return lines.flatMap((line, index) =>
    line.trim() === '' ? [] : [parsed(line, `${file}, line ${index + 1}`)],
  );
}

function readText(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WireletError('WIRELET_E_INPUT', `${file}: ${reason}`, { cause });
  }
}

function parsed(text: string, where: string): unknown {
  try {
    return parseExact(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WireletError('WIRELET_E_TABLE_VALUE', `${where}: ${reason}`, { cause });
  }
}

function entryOf(value: unknown, where: string): Entry & { lcore: number | undefined } {
  const { key, value: held, lcore } = (value ?? {}) as Record<string, unknown>;
  if (key === undefined || held === undefined) {
    const message = `${where}: an entry is {"key": ..., "value": ...}`;
    throw new WireletError('WIRELET_E_TABLE_VALUE', message);
  }
  if (lcore !== undefined && !(Number.isInteger(lcore) && Number(lcore) >= 0)) {
    throw new WireletError('WIRELET_E_TABLE_VALUE', `${where}: lcore is no number`);
  }
  return { key: textOf(key), value: textOf(held), lcore: lcore as number | undefined };
}

/** Text goes as it is: it is a prefix or digits of 64 bits. */
function textOf(item: unknown): string {
  return typeof item === 'string' ? item : JSON.stringify(item);
}
