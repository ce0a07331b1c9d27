/**
 * Every command: `--help`, docs/cli.md and the dispatch all read this. Nothing heavy is imported
 * here; a command's module is loaded when it runs.
 */
import type { CommandSpec, Example, OptionSpec } from './command.js';
import { CONTROL_COMMANDS } from './table-control.js';
import { CONFIG_OPTION, JSON_OPTION, MODE_OPTION, SOCKET_OPTION } from './table-options.js';
import { TABLE_COMMANDS } from './table-tables.js';

export const PURPOSE = 'Sandboxed packet programs in TypeScript, on bursts, on native lcores.';

export const INTRODUCTION: readonly Example[] = [
  { command: 'wirelet demo', comment: 'see packets go through programs, no NIC needed' },
  {
    command: 'wirelet replay programs/dnsguard --in capture.pcap',
    comment: 'what would this program do to that traffic?',
  },
];

/** The verbs that the bare command shows. */
export const COMMON_VERBS = ['demo', 'dev', 'run', 'replay', 'check'] as const;

/** Flags that every command has. */
export const COMMON_OPTIONS: readonly OptionSpec[] = [
  { flags: '-q, --quiet', description: 'no messages, only results and errors' },
  { flags: '-v, --verbose', description: 'more messages, and stacks of errors' },
  { flags: '--no-color', description: 'no colours; so do NO_COLOR and TERM=dumb' },
];

/** Commands that only lead to others. */
export const GROUPS: Readonly<Record<string, string>> = {
  table: 'read and write tables of programs that run',
};

export const EXIT_CODES: readonly (readonly [number, string])[] = [
  [0, 'ok'],
  [1, 'the operation failed'],
  [2, 'wrong command line'],
  [3, 'wrong config'],
  [4, 'program rejected: does not compile, or not accepted by the engine'],
  [5, 'no running appliance'],
  [6, 'not permitted, or memory, hugepages or a NIC are missing'],
  [130, 'interrupted'],
];

const PROGRAM = {
  name: '<program>',
  description: 'folder with index.ts, a .ts file or a built .wasm file',
};
const SETTING_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--settings <file>',
    description: 'JSON file: settings by program, or of the only program',
  },
  {
    flags: '--set <key=value>',
    description:
      'program.key=value, or key=value of the only program; the value is JSON or text; may repeat',
    repeats: true,
  },
];

/** Of the verbs that run an appliance in their own process. */
const RUN_OPTIONS: readonly OptionSpec[] = [
  CONFIG_OPTION,
  { flags: '--lcores <list>', description: 'CPUs such as 0,1 — or a number of lcores' },
  { flags: '--burst <packets>', description: 'packets of one burst at most, 1 to 256' },
  { flags: '--idle <policy>', description: 'adaptive (sleep soon) or poll (spin)' },
  { flags: '--frames <count>', description: 'frames of the packet memory' },
  MODE_OPTION,
  { flags: '--drain <ms>', description: 'time to let packets leave at the end; default 2000' },
  SOCKET_OPTION,
];

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'run',
    summary: 'run an appliance until its finite inputs end, or ^C',
    description: [
      'Reads wirelet.config.ts (.js, .mjs, .json) of the working directory, or the ' +
        'file or folder ' +
        'that is named; compiles its programs and runs them on its lcores.',
      'The first ^C stops receiving, lets what is inside leave and ends within 5 ' +
        'seconds; the second ' +
        'one ends at once. Flags are stronger than WIRELET_LCORES, WIRELET_BURST, ' +
        'WIRELET_IDLE and ' +
        'WIRELET_FRAMES, these are stronger than the file.',
      'On a terminal a table is drawn every second; elsewhere --verbose prints a line ' +
        'per second. ' +
        'The last table is always printed.',
      'While it runs, `status`, `plan`, `apply`, `swap`, `rollback`, `trace` and `table` drive ' +
        'it over a unix socket (mode 0660): --socket, WIRELET_SOCKET, `control.socket` of the ' +
        'config, else `<folder of the config>.sock` in $XDG_RUNTIME_DIR/wirelet, for root in ' +
        '/run/wirelet.',
    ],
    arguments: [{ name: '[config]', description: 'config file, or a folder that has one' }],
    options: [...RUN_OPTIONS, JSON_OPTION],
    examples: [
      { command: 'wirelet run', comment: 'the config of this folder' },
      {
        command: 'wirelet run examples/dns --lcores 0,1 --burst 128',
        comment: 'two pinned lcores',
      },
    ],
    json: {
      schema: 'wirelet.run/1',
      fields: 'stats (elapsedMs, lcores, ports, programs), counters, conservation, interrupted',
    },
    load: () => import('./run.js'),
  },
  {
    name: 'dev',
    summary: 'run an appliance, and replace what is saved while packets flow',
    description: [
      'As `run`, and watches the config and every file that its programs were built from, ' +
        'imports and the guest SDK included. What is saved is compiled, checked and swapped; ' +
        'programs that are saved together are one generation, and a config is applied. When ' +
        'anything fails on the way, the error is shown with its lines and what ran before goes on.',
      'On a terminal: r reads everything anew, t shows a table each second, s shows statistics ' +
        'once, q quits, h helps. It goes on when inputs have ended, and waits for a save when a ' +
        'program does not compile at the start. It serves the control socket as `run` does.',
    ],
    arguments: [{ name: '[config]', description: 'config file, or a folder that has one' }],
    options: RUN_OPTIONS,
    examples: [
      { command: 'wirelet dev', comment: 'the config of this folder' },
      { command: 'wirelet dev examples/dns --lcores 1', comment: '' },
    ],
    load: () => import('./dev.js'),
  },
  ...CONTROL_COMMANDS,
  ...TABLE_COMMANDS,
  {
    name: 'replay',
    summary: 'put a capture file through programs, offline',
    description: [
      'Sends every packet of a pcap or pcapng file through the programs, in the order ' +
        'in which they ' +
        'are named, on one lcore. `pass` writes the packet to --out; so does `redirect` ' +
        'to port 0, ' +
        'which is the file itself; any other redirect is dropped. `punt` is counted and ' +
        'not written.',
      'Records that no program can see (other link types, too long or short, damaged) ' +
        'are skipped ' +
        'and counted. A file of which nothing can be read is an error.',
      'A fault (trap, deadline, bad descriptor) drops the packet, is reported with its ' +
        'source line ' +
        'and does not end the replay; the exit status is 1 when there was one, unless ' +
        '--allow-faults is given.',
    ],
    arguments: [{ ...PROGRAM, name: '<program...>' }],
    options: [
      { flags: '-i, --in <file>', description: 'capture to read (needed)' },
      { flags: '-o, --out <file>', description: 'capture of what came out, timestamps kept' },
      ...SETTING_OPTIONS,
      { flags: '--allow-faults', description: 'exit with 0 even if programs faulted' },
      JSON_OPTION,
    ],
    examples: [
      { command: 'wirelet replay programs/dnsguard --in dns.pcap --out kept.pcap', comment: '' },
      {
        command: `wirelet replay programs/dnsguard -i dns.pcap --set 'blocked=["ads.example"]'`,
        comment: 'a setting',
      },
    ],
    json: {
      schema: 'wirelet.replay/1',
      fields:
        'packets, bytes, skipped{reason:n}, verdicts{pass,drop,redirect,punt}, ' +
        'programs[{name,packets,verdicts,nsPerPacket,faults}], counters{"program/name":n}, ' +
        'drops{reason:n}, written, faults[]',
    },
    load: () => import('./replay.js'),
  },
  {
    name: 'build',
    summary: 'compile a program to a .wasm file',
    description: ['Writes the module and, beside it, its source map (.wasm.map).'],
    arguments: [PROGRAM],
    options: [
      { flags: '-o, --out <file>', description: 'default: build/<name>.wasm' },
      JSON_OPTION,
    ],
    examples: [{ command: 'wirelet build programs/dnsguard -o dnsguard.wasm', comment: '' }],
    json: { schema: 'wirelet.build/1', fields: 'name, file, sourceMap, bytes, cached, compileMs' },
    load: () => import('./build.js'),
  },
  {
    name: 'check',
    summary: 'would the engine accept this program?',
    description: [
      'Compiles the program, takes it through every check at the engine’s door, loads ' +
        'it and runs ' +
        'its onLoad. Nothing is sent or received.',
    ],
    arguments: [PROGRAM],
    options: [...SETTING_OPTIONS, JSON_OPTION],
    examples: [{ command: 'wirelet check programs/dnsguard', comment: '' }],
    json: {
      schema: 'wirelet.check/1',
      fields: 'program, ok, bytes, codeBytes, functions, memoryBytes, imports, counters, logs',
    },
    load: () => import('./check.js'),
  },
  {
    name: 'doctor',
    summary: 'does this machine give the appliance what it needs, and what mends it?',
    description: [
      'Looks at the kernel, privileges, memory, CPUs, interfaces and libraries, and changes ' +
        'nothing. What the config needs and does not get is `missing`, and the exit status is 6; ' +
        'what could be better is a warning. Without a config every device is taken into account.',
    ],
    arguments: [{ name: '[config]', description: 'config file or its folder; default this one' }],
    options: [CONFIG_OPTION, MODE_OPTION, SOCKET_OPTION, JSON_OPTION],
    examples: [{ command: 'wirelet doctor', comment: '' }],
    json: {
      schema: 'wirelet.doctor/1',
      fields: 'config, ok, checks[{name,state,found,fix}]; state is ok, warning or missing',
    },
    load: () => import('./doctor.js'),
  },
  {
    name: 'inspect',
    summary: 'show what a program is made of',
    description: ['Sizes, imports, exports and the manifest; with --wat its text.'],
    arguments: [PROGRAM],
    options: [
      { flags: '--wat', description: 'print the module as text, and nothing else' },
      JSON_OPTION,
    ],
    examples: [{ command: 'wirelet inspect programs/macswap --wat', comment: '' }],
    json: {
      schema: 'wirelet.inspect/1',
      fields:
        'name, bytes, sections, imports, exports, memory, data, functions, manifest, ' +
        'wit, codeBytes, ' +
        'onLoad, compileMs; with --wat: name, wat',
    },
    load: () => import('./inspect.js'),
  },
  {
    name: 'bench',
    summary: 'time a program per packet, against native code',
    description: [
      'Runs the program over packets that stay in memory, at several burst sizes, on a native ' +
        'thread. For programs with a twin in native Rust the two run in turns and the ratio is ' +
        'native / Wasm: 1.00 is as fast as native code.',
      'Without --in the traffic is ours: 256 flows of UDP over IPv4, none to port 53, 64 bytes.',
    ],
    arguments: [PROGRAM],
    options: [
      { flags: '-i, --in <file>', description: 'packets to use (the first 4,096)' },
      { flags: '--burst <list>', description: 'burst sizes; default 1,8,32,64,256' },
      { flags: '--rounds <count>', description: 'samples per burst size; default 31' },
      { flags: '--raw <file>', description: 'write every sample as JSON' },
      ...SETTING_OPTIONS,
      JSON_OPTION,
    ],
    examples: [{ command: 'wirelet bench programs/macswap --burst 32,64', comment: '' }],
    json: {
      schema: 'wirelet.bench/1',
      fields: 'program, packets, rows[{burst, nsPerPacket, nativeNsPerPacket?, ratio?}]',
    },
    load: () => import('./bench.js'),
  },
  {
    name: 'pktgen',
    summary: 'send generated packets by a device, and measure what comes back',
    description: [
      'Packets carry a stamp; those that come back, by the device or by --back, are checked for ' +
        'loss, order, damage and latency. Any device will do: a kernel interface, a tap, a DPDK ' +
        'port, or `loop:` to see what the generator itself can do.',
      'With --search it looks for the highest rate without loss at each size (RFC 2544, 26.1), ' +
        'by halving, with trials of --seconds; the RFC asks for 60. Sizes are without the FCS.',
    ],
    arguments: [{ name: '<device>', description: 'spec of the device: docs/devices.md' }],
    options: [
      { flags: '--back <device>', description: 'packets come back by this device' },
      {
        flags: '--rate <rate>',
        description: 'packets per second, 100k, or max; with --search the most tried',
      },
      { flags: '--seconds <time>', description: 'how long; default 10' },
      {
        flags: '--size <list>',
        description: '60 to 9,000 bytes, 64-1500, 60,590,1514, or imix; default 60',
      },
      { flags: '--flows <count>', description: 'flows; default 64' },
      {
        flags: '--protocols <list>',
        description: 'of udp, tcp, icmp, dns, arp, udp6, tcp6, icmp6, dns6',
      },
      { flags: '--vlan <id>', description: '802.1Q tag' },
      { flags: '--src <prefix>', description: 'IPv4 source addresses' },
      { flags: '--dst <prefix>', description: 'IPv4 destination addresses' },
      { flags: '--src-mac <mac>', description: 'source MAC address' },
      { flags: '--dst-mac <mac>', description: 'destination MAC address' },
      { flags: '--seed <number>', description: 'the same packets each time' },
      { flags: '--search', description: 'look for the highest rate without loss' },
      { flags: '--loss <share>', description: 'loss that --search allows, 0.1%; default none' },
      {
        flags: '--lcores <list>',
        description: 'CPUs such as 0,1 — or a number of lcores; default 1',
      },
      JSON_OPTION,
    ],
    examples: [
      {
        command: 'wirelet pktgen loop: --rate 1M --size imix --seconds 2',
        comment: 'no NIC needed',
      },
      {
        command: 'wirelet pktgen af_packet:eth1 --back af_packet:eth2 --search --size 60',
        comment: '',
      },
    ],
    json: {
      schema: 'wirelet.pktgen/1',
      fields:
        'rate, seconds, sent, sentPerSecond, missed, refused, received, lost, reordered, ' +
        'duplicates, corrupt, latencyNs; with --search search[{size, best}]',
    },
    load: () => import('./pktgen.js'),
  },
  {
    name: 'demo',
    summary: 'see real and generated packets go through two programs',
    description: [
      'Generated traffic through dnsguard and count on native lcores, then a capture ' +
        'file written ' +
        'here through dnsguard, packets shown before and after. Needs no root and no NIC.',
    ],
    arguments: [],
    options: [JSON_OPTION],
    examples: [{ command: 'wirelet demo', comment: '' }],
    json: { schema: 'wirelet.demo/1', fields: 'live (stats, counters, conservation), replay' },
    load: () => import('./demo.js'),
  },
];
