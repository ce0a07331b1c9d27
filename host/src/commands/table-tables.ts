/** Commands of `wirelet table`: rows of the table in table.ts. */
import type { ArgumentSpec, CommandSpec, OptionSpec } from './command.js';
import { JSON_OPTION, SOCKET_OPTION } from './table-options.js';

const TABLE: ArgumentSpec = {
  name: '<table>',
  description: 'program/table, or the table’s name where only one program has it',
};
const KEY: ArgumentSpec = {
  name: '<key>',
  description: 'JSON by the fields of the key; a number; a prefix of an LPM table',
};
const LCORE_OPTION: OptionSpec = {
  flags: '--lcore <number>',
  description: 'one of the lcores; default all',
};

export const TABLE_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'table list',
    summary: 'show the tables of programs that run',
    description: ['With their kind, how many keys each lcore has, and the fields of both sides.'],
    arguments: [],
    options: [SOCKET_OPTION, JSON_OPTION],
    examples: [{ command: 'wirelet table list', comment: '' }],
    json: {
      schema: 'wirelet.table-list/1',
      fields:
        'tables[{tenant,program,name,kind,shared,persist,capacity,key,value,' +
        'lcores[{count,refused,evicted,bytes}]}]',
    },
    load: async () => ({ run: (await import('./tables.js')).list }),
  },
  {
    name: 'table get',
    summary: 'show the value of a key on each lcore',
    description: ['Of an LPM table: the value of the longest prefix of an address.'],
    arguments: [TABLE, KEY],
    options: [SOCKET_OPTION, JSON_OPTION],
    examples: [
      { command: `wirelet table get guard/flows '{"source":"10.0.0.1","port":53}'`, comment: '' },
    ],
    json: { schema: 'wirelet.table-get/1', fields: 'table, key, values[] (null where it is not)' },
    load: async () => ({ run: (await import('./tables.js')).get }),
  },
  {
    name: 'table set',
    summary: 'write a key, on all lcores or on one',
    description: ['The lcores apply it between two bursts; then the command ends.'],
    arguments: [TABLE, KEY, { name: '<value>', description: 'JSON by the fields of the value' }],
    options: [LCORE_OPTION, SOCKET_OPTION, JSON_OPTION],
    examples: [{ command: 'wirelet table set router/routes 10.0.0.0/8 3', comment: '' }],
    json: { schema: 'wirelet.table-set/1', fields: 'table, key, value, lcore?' },
    load: async () => ({ run: (await import('./tables.js')).set }),
  },
  {
    name: 'table delete',
    summary: 'delete a key, on all lcores or on one',
    description: ['A key that is on none of them is WIRELET_E_TABLE_UNKNOWN.'],
    arguments: [TABLE, KEY],
    options: [LCORE_OPTION, SOCKET_OPTION, JSON_OPTION],
    examples: [{ command: 'wirelet table delete router/routes 10.0.0.0/8', comment: '' }],
    json: { schema: 'wirelet.table-delete/1', fields: 'table, key, lcore?' },
    load: async () => ({ run: (await import('./tables.js')).remove }),
  },
  {
    name: 'table replace',
    summary: 'make a table hold what a file says, at once',
    description: [
      'Reads entries `{"key": ..., "value": ...}`, one a line or as a list. The table is built ' +
        'aside and flipped: a packet sees all of it or nothing. Entries with an `lcore`, as ' +
        '`table export` writes them, go to that lcore.',
    ],
    arguments: [TABLE, { name: '[file]', description: 'NDJSON or JSON; default stdin' }],
    options: [LCORE_OPTION, SOCKET_OPTION, JSON_OPTION],
    examples: [{ command: 'wirelet table replace router/routes routes.ndjson', comment: '' }],
    json: { schema: 'wirelet.table-replace/1', fields: 'table, count' },
    load: () => import('./table-replace.js'),
  },
  {
    name: 'table export',
    summary: 'write a table as one line of JSON for each entry',
    description: ['While packets flow: what changes meanwhile is there or not.'],
    arguments: [TABLE],
    options: [
      LCORE_OPTION,
      { flags: '-o, --out <file>', description: 'default stdout' },
      SOCKET_OPTION,
      { flags: '--json', description: 'changes nothing: each line is an object anyway' },
    ],
    examples: [{ command: 'wirelet table export guard/flows > flows.ndjson', comment: '' }],
    load: async () => ({ run: (await import('./tables.js')).exportTable }),
  },
];
