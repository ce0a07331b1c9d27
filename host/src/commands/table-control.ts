/** Commands that drive an appliance that runs: rows of the table in table.ts. */
import type { ArgumentSpec, CommandSpec, OptionSpec } from './command.js';
import { CONFIG_OPTION, JSON_OPTION, MODE_OPTION, SOCKET_OPTION } from './table-options.js';

const CONFIG: ArgumentSpec = {
  name: '[config]',
  description: 'config file, or a folder that has one; default this folder',
};
const CONFIG_OPTIONS: readonly OptionSpec[] = [CONFIG_OPTION, MODE_OPTION];
const RESET_OPTION: OptionSpec = {
  flags: '--reset-state',
  description: 'tables of another shape begin empty; without it they refuse the change',
};
const CHANGE_FIELDS =
  'kind, from, to, programs[], automatic, reason, at, tables[{program,table,action}], ' +
  'timesMs{build,compiler,compile,instantiate,copy,adopt,total}, loss{packets,missed,drops}';

export const CONTROL_COMMANDS: readonly CommandSpec[] = [
  {
    name: 'status',
    summary: 'show how the appliance that runs here is doing',
    description: [
      'Its generation, ports with their link, programs with their health, the lcores and which ' +
        'generation each has adopted, the last swaps and faults. With no appliance the exit ' +
        'status is 5.',
    ],
    arguments: [],
    options: [SOCKET_OPTION, JSON_OPTION],
    examples: [{ command: 'wirelet status', comment: '' }],
    json: {
      schema: 'wirelet.status/1',
      fields:
        'name, pid, config, socket, uptimeMs, generation, ports[{name,device,link,finished}], ' +
        'programs[{tenant,name,source,health,packets,faults,rebuilds}], ' +
        'lcores[{cpu,state,generation,busy}], changes[], faults[]',
    },
    load: () => import('./status.js'),
  },
  {
    name: 'plan',
    summary: 'show what `apply` would change, and touch nothing',
    description: [
      'Compares the config with what runs: programs, settings, pipelines, tables. The new ' +
        'modules are compiled, checked and loaded, and their tables compared, as `apply` would.',
      'Ports, devices, lcores, bursts and frames are fixed while an appliance runs; changes of ' +
        'these are shown as such. Flags that the appliance was started with stay in force.',
    ],
    arguments: [CONFIG],
    options: [...CONFIG_OPTIONS, RESET_OPTION, SOCKET_OPTION, JSON_OPTION],
    examples: [{ command: 'wirelet plan', comment: 'the config of this folder' }],
    json: {
      schema: 'wirelet.plan/1',
      fields: 'generation, actions[{kind,...}], publishes, restart',
    },
    load: () => import('./plan.js'),
  },
  {
    name: 'apply',
    summary: 'make a config what runs, without losing a packet',
    description: [
      'Does what `plan` shows. Programs that are equal keep their instance. Whatever goes wrong, ' +
        'the old generation goes on. On a terminal the plan is shown and asked about first.',
    ],
    arguments: [CONFIG],
    options: [
      ...CONFIG_OPTIONS,
      RESET_OPTION,
      { flags: '-y, --yes', description: 'do not ask' },
      SOCKET_OPTION,
      JSON_OPTION,
    ],
    examples: [{ command: 'wirelet apply --yes', comment: '' }],
    json: {
      schema: 'wirelet.apply/1',
      fields: `plan (as wirelet.plan/1), change (null when there was none): ${CHANGE_FIELDS}`,
    },
    load: () => import('./apply.js'),
  },
  {
    name: 'swap',
    summary: 'put another version of a program in its place while packets flow',
    description: [
      'Compiles the source (default: the one that the program was loaded from), and publishes a ' +
        'generation with it; the other programs are not touched. Prints both generations, the ' +
        'time, and how many packets were lost.',
      'With --shadow the two versions first run beside the packets over the same sample of ' +
        'them, with copies of the same state. Packets that they answer differently are shown; ' +
        'more than --max-differences refuse the swap with exit status 4.',
    ],
    arguments: [
      { name: '<program>', description: 'name in the config, `default/` may stand before it' },
      { name: '[source]', description: 'folder with index.ts, a .ts file or a built .wasm file' },
    ],
    options: [
      { flags: '--shadow <time>', description: 'run both for so long first: 10s, 500ms, 1m' },
      { flags: '--sample <share>', description: 'share of the flows; default 1/64' },
      { flags: '--max-differences <count>', description: 'differences to accept; default 0' },
      { flags: '--diff-pcap <file>', description: 'pcapng of the differences, both versions' },
      RESET_OPTION,
      SOCKET_OPTION,
      JSON_OPTION,
    ],
    examples: [
      { command: 'wirelet swap guard', comment: 'its source was edited' },
      {
        command: 'wirelet swap guard programs/guard-2 --shadow 10s --diff-pcap diff.pcapng',
        comment: 'compare first',
      },
    ],
    json: { schema: 'wirelet.swap/1', fields: `change{${CHANGE_FIELDS}}, shadow?` },
    load: () => import('./swap.js'),
  },
  {
    name: 'rollback',
    summary: 'bring the programs of the generation before back',
    description: [
      'They come back with the tables as these are now. It is a generation of its own, and goes ' +
        'live as a swap does.',
    ],
    arguments: [],
    options: [SOCKET_OPTION, JSON_OPTION],
    examples: [{ command: 'wirelet rollback', comment: '' }],
    json: { schema: 'wirelet.rollback/1', fields: CHANGE_FIELDS },
    load: () => import('./rollback.js'),
  },
  {
    name: 'trace',
    summary: 'show packets of a port or a program while they go their way',
    description: [
      'Of a port: what comes in, with what becomes of it, and what leaves. Of a program: packets ' +
        'with the verdict, as it left them; what it has changed is shown before and after. Ends ' +
        'after --count packets, at ^C, or when the appliance stops.',
      'The filter is in tcpdump’s language (pcap-filter), read by libpcap here and run on the ' +
        'lcores. These never wait: packets that come faster than they are shown are counted, and ' +
        'told at the end.',
    ],
    arguments: [
      {
        name: '<target>',
        description: 'a port or a program; port:NAME, program:NAME where both have the name',
      },
    ],
    options: [
      { flags: '--filter <expression>', description: "such as 'udp port 53 and host 192.0.2.1'" },
      { flags: '--count <packets>', description: 'end after so many' },
      {
        flags: '--every <number>',
        description: 'one of so many that match, per lcore and direction',
      },
      { flags: '--snap <bytes>', description: 'bytes of a packet to keep; default all' },
      {
        flags: '--pcap <file>',
        description: 'also write pcapng, with direction and what became of each packet',
      },
      SOCKET_OPTION,
      { ...JSON_OPTION, description: 'print one JSON object for each packet' },
    ],
    examples: [
      { command: `wirelet trace wan --filter 'udp port 53' --count 10`, comment: '' },
      { command: 'wirelet trace guard --pcap guard.pcapng', comment: 'what guard decides' },
    ],
    load: () => import('./trace.js'),
  },
];
