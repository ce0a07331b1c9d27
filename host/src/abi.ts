// DO NOT EDIT: written from native/abi by `npm run abi`.
export const ABI_VERSION = 1;
export const BURST_PAGE = 65536;
export const DESCRIPTORS = 65600;
export const SETTINGS_PAGE = 131072;
export const PACKET_WINDOW = 2097152;
export const PACKET_WINDOW_END = 536870912;
export const STATE_WINDOW = 536870912;
export const STATE_WINDOW_END = 1073741824;
export const PROGRAM_MEMORY = 1073741824;
export const WASM_PAGE_BYTES = 65536;
/** Packets in one burst. */
export const BURST_MAX = 256;
/** Programs in one pipeline. */
export const PIPELINE_PROGRAMS_MAX = 16;
/** Programs of one appliance. */
export const PROGRAMS_MAX = 256;
/** Programs that can be added to an appliance while it runs. */
export const PROGRAMS_SPARE = 16;
/** Ports of one appliance. */
export const PORTS_MAX = 64;
/** Lcores of one appliance. */
export const LCORES_MAX = 64;
/** Counters of one program. */
export const PROGRAM_COUNTERS_MAX = 1024;
/** Tables of one program. */
export const PROGRAM_TABLES_MAX = 64;
/** Keys that one table can hold, and elements of an array. */
export const TABLE_CAPACITY_MAX = 16777216;
/** Bytes of an array that its program writes: it is copied in one go, at a burst boundary. */
export const TABLE_ARRAY_BYTES_MAX = 4194304;
/** Bytes of a table's key. */
export const TABLE_KEY_BYTES_MAX = 256;
/** Bytes of a table's value. */
export const TABLE_VALUE_BYTES_MAX = 1024;
/** Bytes of a counter's, program's, port's or table's name. */
export const NAME_BYTES_MAX = 64;
/** Bytes of one log line; the rest is cut. */
export const LOG_LINE_BYTES_MAX = 256;
/** Log lines a program may write in a second, per lcore; the rest is counted. */
export const LOG_LINES_PER_SECOND_MAX = 100;
/** Bytes of a program's settings page. */
export const SETTINGS_BYTES_MAX = 1048576;
/** Bytes of a module. */
export const MODULE_BYTES_MAX = 4194304;
/** Functions of a module, imported ones included. */
export const MODULE_FUNCTIONS_MAX = 4096;
/** Bytes of one function's body. */
export const MODULE_BODY_BYTES_MAX = 262144;
/** Locals of one function. */
export const MODULE_LOCALS_MAX = 1024;
/** Compiler's work on one function: its blocks times its locals, and 50 for each value that a block takes or returns. The most takes about 4 s (measured). */
export const FUNCTION_WORK_MAX = 200000;
/** Compiler's work on all functions of a module. */
export const MODULE_WORK_MAX = 800000;
/** Globals of a module. */
export const MODULE_GLOBALS_MAX = 1024;
/** Types of a module. */
export const MODULE_TYPES_MAX = 1024;
/** Exports of a module. */
export const MODULE_EXPORTS_MAX = 256;
/** Data segments of a module. */
export const MODULE_DATA_SEGMENTS_MAX = 4096;
/** Entries of a module's table. */
export const MODULE_TABLE_ENTRIES_MAX = 4096;
/** Bytes of a program's own memory: data, stack, heap. */
export const PROGRAM_MEMORY_BYTES_MAX = 16777216;
/** Stack of native and Wasm frames under one call. */
export const PROGRAM_STACK_BYTES_MAX = 262144;
/** CPU time of one burst, default. */
export const DEADLINE_DEFAULT_NS = 10000000;
/** CPU time of one burst, the least that can be asked for. */
export const DEADLINE_MIN_NS = 2000000;
/** CPU time of one burst, the most that can be asked for. */
export const DEADLINE_MAX_NS = 1000000000;
/** CPU time of onLoad. */
export const ON_LOAD_DEADLINE_NS = 1000000000;
/** Bytes of a frame, the least: room for an Ethernet frame of 1,500 bytes and headroom. */
export const FRAME_BYTES_MIN = 2048;
/** Bytes of a frame, the most. */
export const FRAME_BYTES_MAX = 16384;
/** Bytes of a frame when the config says nothing: 35 cache lines, 128 headroom and 2,112 data. */
export const FRAME_BYTES_DEFAULT = 2240;
/** Frames of a region when the config says nothing. */
export const FRAMES_DEFAULT = 16384;
/** Free bytes before a received packet. */
export const HEADROOM_BYTES = 128;
/** Bytes of an Ethernet header: what is shorter is no packet. */
export const PACKET_BYTES_MIN = 14;
/** Bytes that a shorter packet is padded to before it is sent (60 and 4 of FCS). */
export const PACKET_BYTES_PADDED = 60;
/** Extra statistics of one port. */
export const XSTATS_MAX = 16;
/** Rules of one port. */
export const RULES_MAX = 64;
/** Room for drop reasons in a port's block of the counters page. */
export const DROP_REASONS_MAX = 32;
/** Times a program is rebuilt after faults in a row before it is quarantined. */
export const REBUILDS_MAX = 8;
export const SETTING_NUMBER = 1;
export const SETTING_BOOLEAN = 2;
export const SETTING_STRING = 3;
export const SETTING_STRINGS = 4;
export const SETTING_NUMBERS = 5;
/** Kinds of tables; the index is the value in a spec. */
export const TABLE_KINDS = [
  '',
  'hash',
  'lru',
  'lpm4',
  'lpm6',
  'array',
] as const;
export const STATS_MAGIC = 3554542199785015639n;
export const HISTOGRAM_BUCKETS = 256;
export const MANIFEST_SECTION = 'wirelet.manifest';
/** Port of a redirect to all ports but the port of arrival. */
export const EGRESS_FLOOD = 65534;
/** Names of verdicts; the index is the value in a descriptor. */
export const VERDICTS = [
  'pass',
  'drop',
  'redirect',
  'punt',
] as const;
/** Names of drop reasons; the index is the place in a port's `drops`. */
export const DROP_REASONS = [
  'program',
  'fault',
  'program_down',
  'undecided',
  'no_forward',
  'redirect_invalid',
  'punt_unset',
  'handover_full',
  'tx_full',
  'tx_error',
  'tx_too_long',
  'tx_too_short',
  'stopped',
  'too_long',
  'too_short',
  'no_frame',
  'link_type',
  'truncated',
  'corrupt',
  'unsupported',
  'impaired',
  'no_copy_frame',
  'punt_full',
  'rule',
] as const;
/** Drop reasons of devices: no program saw the packet. */
export const EDGE_DROP_REASONS = [
  'too_long',
  'too_short',
  'no_frame',
  'link_type',
  'truncated',
  'corrupt',
  'unsupported',
  'impaired',
] as const;
/** States of an lcore; the index is the value in its block. */
export const LCORE_STATES = ['starting', 'running', 'sleeping', 'stopped', 'failed'] as const;
export type Verdict = (typeof VERDICTS)[number];
export type DropReason = (typeof DROP_REASONS)[number];
export const SIZEOF_BURST_HEADER = 64;
export const BURST_HEADER_COUNT = 0;
export const BURST_HEADER_LCORE = 4;
export const BURST_HEADER_GENERATION = 8;
export const BURST_HEADER_FLAGS = 12;
export const BURST_HEADER_NOW_NS = 16;
export const SIZEOF_DESCRIPTOR = 32;
export const DESCRIPTOR_DATA = 0;
export const DESCRIPTOR_LENGTH = 4;
export const DESCRIPTOR_HEADROOM = 6;
export const DESCRIPTOR_TAILROOM = 8;
export const DESCRIPTOR_PORT = 10;
export const DESCRIPTOR_VERDICT = 12;
export const DESCRIPTOR_FLAGS = 13;
export const DESCRIPTOR_EGRESS = 14;
export const DESCRIPTOR_HASH = 16;
export const DESCRIPTOR_MARK = 20;
export const DESCRIPTOR_TIMESTAMP_NS = 24;
export const SIZEOF_SETTINGS_HEADER = 16;
export const SETTINGS_HEADER_ABI = 0;
export const SETTINGS_HEADER_COUNT = 4;
export const SETTINGS_HEADER_BYTES = 8;
export const SETTINGS_HEADER_VERSION = 12;
export const SIZEOF_SETTINGS_ENTRY = 32;
export const SETTINGS_ENTRY_NAME = 0;
export const SETTINGS_ENTRY_NAME_BYTES = 4;
export const SETTINGS_ENTRY_KIND = 8;
export const SETTINGS_ENTRY_COUNT = 12;
export const SETTINGS_ENTRY_VALUE = 16;
export const SETTINGS_ENTRY_VALUE_BYTES = 24;
export const SIZEOF_PAGE_HEADER = 128;
export const PAGE_HEADER_MAGIC = 0;
export const PAGE_HEADER_ABI = 8;
export const PAGE_HEADER_LCORES = 16;
export const PAGE_HEADER_PORTS = 24;
export const PAGE_HEADER_PROGRAMS = 32;
export const PAGE_HEADER_CYCLES_HZ = 40;
export const PAGE_HEADER_FRAMES = 48;
export const PAGE_HEADER_GENERATION = 56;
export const PAGE_HEADER_FAULTS = 64;
export const SIZEOF_LCORE_BLOCK = 2176;
export const LCORE_BLOCK_SEQUENCE = 0;
export const LCORE_BLOCK_ROUNDS = 8;
export const LCORE_BLOCK_BURSTS = 16;
export const LCORE_BLOCK_PACKETS = 24;
export const LCORE_BLOCK_BUSY_CYCLES = 32;
export const LCORE_BLOCK_IDLE_CYCLES = 40;
export const LCORE_BLOCK_SLEEPS = 48;
export const LCORE_BLOCK_GENERATION = 56;
export const LCORE_BLOCK_GAP_MAX_CYCLES = 64;
export const LCORE_BLOCK_STATE = 72;
export const LCORE_BLOCK_HANDOVERS = 80;
export const LCORE_BLOCK_FRAMES_CACHED = 88;
export const LCORE_BLOCK_BURST_NS = 128;
export const SIZEOF_PORT_BLOCK = 3072;
export const PORT_BLOCK_RX_PACKETS = 0;
export const PORT_BLOCK_RX_BYTES = 8;
export const PORT_BLOCK_FORWARDED_PACKETS = 16;
export const PORT_BLOCK_TX_PACKETS = 24;
export const PORT_BLOCK_TX_BYTES = 32;
export const PORT_BLOCK_LINK_UP = 40;
export const PORT_BLOCK_FINISHED = 48;
export const PORT_BLOCK_EDGE_DROP_BYTES = 56;
export const PORT_BLOCK_DROPS = 64;
export const PORT_BLOCK_XSTATS = 320;
export const PORT_BLOCK_MAC = 448;
export const PORT_BLOCK_MTU = 456;
export const PORT_BLOCK_PROMISCUOUS = 464;
export const PORT_BLOCK_COPIED_PACKETS = 472;
export const PORT_BLOCK_STEERED_PACKETS = 480;
export const PORT_BLOCK_PUNTED_PACKETS = 488;
export const PORT_BLOCK_LATENCY_NS = 512;
export const PORT_BLOCK_RULE_HITS = 2560;
export const SIZEOF_PROGRAM_BLOCK = 128;
export const PROGRAM_BLOCK_BURSTS = 0;
export const PROGRAM_BLOCK_PACKETS = 8;
export const PROGRAM_BLOCK_CYCLES = 16;
export const PROGRAM_BLOCK_VERDICTS = 24;
export const PROGRAM_BLOCK_FAULTS = 56;
export const PROGRAM_BLOCK_FAULTED_PACKETS = 64;
export const PROGRAM_BLOCK_UNDECIDED_PACKETS = 72;
export const PROGRAM_BLOCK_REBUILDS = 80;
export const PROGRAM_BLOCK_LOG_LINES_LOST = 88;
export const PROGRAM_BLOCK_HEALTH = 96;
/** Every coded error: exit status of the CLI, what it means, what to do. */
export const ERRORS = {
  WIRELET_E_USAGE: {
    exit: 2,
    meaning: "The command line is wrong.",
    hint: "Run `wirelet help` for the commands.",
  },
  WIRELET_E_CONFIG_NOT_FOUND: {
    exit: 3,
    meaning: "There is no config file.",
    hint: "Create wirelet.config.ts or name a file with --config.",
  },
  WIRELET_E_CONFIG_INVALID: {
    exit: 3,
    meaning: "The config does not have the shape it should.",
    hint: "See docs/start.md for a complete config.",
  },
  WIRELET_E_CONFIG_UNKNOWN_KEY: {
    exit: 3,
    meaning: "The config has a key that nobody reads.",
    hint: "Remove it or correct its spelling.",
  },
  WIRELET_E_CONFIG_UNKNOWN_DEVICE: {
    exit: 3,
    meaning: "A port names a device that does not exist.",
    hint: "Devices and wrappers: docs/devices.md.",
  },
  WIRELET_E_CONFIG_UNKNOWN_PORT: {
    exit: 3,
    meaning: "The config refers to a port that it does not define.",
    hint: "Define it under `ports`.",
  },
  WIRELET_E_CONFIG_UNKNOWN_PROGRAM: {
    exit: 3,
    meaning: "A pipeline refers to a program that the config does not define.",
    hint: "Define it under `programs`.",
  },
  WIRELET_E_CONFIG_LIMIT: {
    exit: 3,
    meaning: "A number in the config is outside its limits.",
    hint: "Limits: docs/architecture.md.",
  },
  WIRELET_E_RULES: {
    exit: 3,
    meaning: "A port can't have the rules that the config gives it.",
    hint: "Rules: docs/operating.md. `queues`, `offload` and programs' `affinity` set limits to them.",
  },
  WIRELET_E_DEVICE_SPEC: {
    exit: 3,
    meaning: "A device's spec is wrong.",
    hint: "Specs: docs/devices.md, `device:where?option=value`.",
  },
  WIRELET_E_SETTINGS: {
    exit: 3,
    meaning: "A program's settings can't be written to its settings page.",
    hint: "Settings are numbers, booleans, strings and lists of numbers or strings, 1 MiB in all.",
  },
  WIRELET_E_PROGRAM_NOT_FOUND: {
    exit: 4,
    meaning: "There is no program at that path.",
    hint: "Name a folder with index.ts, a .ts or a .wasm file.",
  },
  WIRELET_E_PROGRAM_COMPILE: {
    exit: 4,
    meaning: "The program does not compile.",
    hint: "Mend the lines shown above.",
  },
  WIRELET_E_PROGRAM_ENTRY: {
    exit: 4,
    meaning: "The program exports neither onPacket nor onBurst, or both.",
    hint: "Export one: `export function onPacket(packet: Packet): Verdict`.",
  },
  WIRELET_E_PROGRAM_ALLOCATES: {
    exit: 4,
    meaning: "The program allocates memory for each packet.",
    hint: "Allocate once, in onLoad or at the top level.",
  },
  WIRELET_E_TABLE_TYPE: {
    exit: 4,
    meaning: "A table's keys or values are of a type that tables can't hold.",
    hint: "Keys: integers, or classes of integer fields. Values: floats, too. No references.",
  },
  WIRELET_E_COMPILER_FAILED: {
    exit: 4,
    meaning: "The compiler itself failed or ran out of its time or memory.",
    hint: "Try the program in halves to find the line, and report it.",
  },
  WIRELET_E_MODULE_NOT_WASM: {
    exit: 4,
    meaning: "That is no WebAssembly module.",
    hint: "Build one with `wirelet build`.",
  },
  WIRELET_E_MODULE_FEATURE: {
    exit: 4,
    meaning: "The module is invalid or uses a Wasm feature that is not allowed.",
    hint: "Allowed: the MVP, mutable globals, sign extension, saturating conversions, multi-value, SIMD.",
  },
  WIRELET_E_MODULE_LIMIT: {
    exit: 4,
    meaning: "The module is larger than a limit allows.",
    hint: "Limits: docs/architecture.md.",
  },
  WIRELET_E_MODULE_ABI: {
    exit: 4,
    meaning: "The module was built for another ABI version, or for none.",
    hint: "Build it again with this version's `wirelet build`.",
  },
  WIRELET_E_MODULE_IMPORT: {
    exit: 4,
    meaning: "The module imports something that the engine does not offer.",
    hint: "Offered: wirelet.log, wirelet.counter, wirelet.table, wirelet.abort.",
  },
  WIRELET_E_MODULE_EXPORT: {
    exit: 4,
    meaning: "The module lacks an export, or one has the wrong type.",
    hint: "Needed: memory, onBurst(u32), wirelet_abi_1().",
  },
  WIRELET_E_MODULE_START: {
    exit: 4,
    meaning: "The module has a start function.",
    hint: "Move its work to onLoad.",
  },
  WIRELET_E_MODULE_DATA: {
    exit: 4,
    meaning: "A data segment is passive, computed or outside the program's own memory.",
    hint: "Build with `--memoryBase 1073741824` (asconfig.json of this project does).",
  },
  WIRELET_E_MODULE_MEMORY: {
    exit: 4,
    meaning: "The module's memory is missing, imported, growable, too small or too large.",
    hint: "Initial and maximum size must be equal: 1 GiB of windows and at most 16 MiB of its own.",
  },
  WIRELET_E_LOAD_TRAP: {
    exit: 4,
    meaning: "onLoad trapped, or the program refused a setting.",
    hint: "Mend the setting, if it names one. Packets and tables are there when onLoad has returned.",
  },
  WIRELET_E_LOAD_DEADLINE: {
    exit: 4,
    meaning: "onLoad did not return in time.",
    hint: "onLoad has one second of CPU time.",
  },
  WIRELET_E_PROGRAM_TRAP: {
    exit: 1,
    meaning: "The program trapped on a packet.",
    hint: "The report names the line; the packet was dropped.",
  },
  WIRELET_E_PROGRAM_DEADLINE: {
    exit: 1,
    meaning: "The program took longer for a burst than its deadline.",
    hint: "Bound its loops, or raise `deadline`.",
  },
  WIRELET_E_DESCRIPTOR: {
    exit: 1,
    meaning: "The program wrote a descriptor that points outside its frame or has no such verdict.",
    hint: "Use Packet's methods; raw descriptors must stay within headroom and tailroom.",
  },
  WIRELET_E_COUNTERS: {
    exit: 4,
    meaning: "The program asks for too many counters, or one has a bad name.",
    hint: "At most 1,024 counters with names of 1 to 64 bytes.",
  },
  WIRELET_E_TABLES: {
    exit: 4,
    meaning: "The program asks for a table that it can't have.",
    hint: "At most 64 tables, names of 1 to 64 bytes, asked for at the top level or in onLoad.",
  },
  WIRELET_E_TABLE_SCHEMA: {
    exit: 4,
    meaning: "A table has another shape than the state that is kept.",
    hint: "Append fields, or raise the capacity; --reset-state begins with an empty table.",
  },
  WIRELET_E_TABLE_UNKNOWN: {
    exit: 1,
    meaning: "There is no such table, or no such key in it.",
    hint: "`wirelet table list` shows the tables, `wirelet table export` their keys.",
  },
  WIRELET_E_TABLE_VALUE: {
    exit: 2,
    meaning: "A key or value does not fit the table.",
    hint: "`wirelet table list` shows the fields of keys and values.",
  },
  WIRELET_E_TABLE_FULL: {
    exit: 1,
    meaning: "The table holds as many keys as it can.",
    hint: "Delete some, or raise the capacity that the program asks for.",
  },
  WIRELET_E_PERSIST: {
    exit: 6,
    meaning: "Persistent state can't be kept there.",
    hint: "`state.directory` must be a writable folder on tmpfs, such as /dev/shm/wirelet-mine.",
  },
  WIRELET_E_SWAP_TIMEOUT: {
    exit: 1,
    meaning: "An lcore did not take over the new generation in time.",
    hint: "The old generation goes on there; see `wirelet status` for what keeps the lcore.",
  },
  WIRELET_E_RESTART_NEEDED: {
    exit: 3,
    meaning: "The change can't be made while the appliance runs.",
    hint: "Ports, devices, lcores, bursts and frames are fixed: stop it and start it anew.",
  },
  WIRELET_E_ROLLBACK: {
    exit: 1,
    meaning: "There is no earlier generation to go back to.",
    hint: "The earlier generation is kept until the next change; a rollback can't be rolled back.",
  },
  WIRELET_E_SHADOW_DIFFERS: {
    exit: 4,
    meaning: "The candidate decides differently from the running program.",
    hint: "The report shows the packets; raise --max-differences when they are as intended.",
  },
  WIRELET_E_CONTROL: {
    exit: 1,
    meaning: "The control socket can't be used.",
    hint: "Another appliance may own it: name one with --socket, for the appliance and for the verb.",
  },
  WIRELET_E_FILTER: {
    exit: 2,
    meaning: "The filter of packets is wrong.",
    hint: "The language is tcpdump's: man pcap-filter.",
  },
  WIRELET_E_LIBPCAP: {
    exit: 6,
    meaning: "There is no libpcap, which reads filters of packets.",
    hint: "Install it, `apt install libpcap0.8` on Debian; or leave the filter out.",
  },
  WIRELET_E_TRACE: {
    exit: 1,
    meaning: "There is no port and no program of that name to trace, or too many traces run.",
    hint: "`wirelet status` shows the names; `port:NAME` and `program:NAME` tell two apart.",
  },
  WIRELET_E_DEVICE_OPEN: {
    exit: 1,
    meaning: "A device can't be opened.",
    hint: "The message names the file or interface and the reason.",
  },
  WIRELET_E_INTERFACE: {
    exit: 6,
    meaning: "There is no such network interface, or it can't do what is asked.",
    hint: "`ip link` lists the interfaces of this network namespace; `wirelet doctor` looks at them.",
  },
  WIRELET_E_PRIVILEGE: {
    exit: 6,
    meaning: "A device needs a privilege that this process does not have.",
    hint: "Run `wirelet doctor`: it names the capability and how to get it.",
  },
  WIRELET_E_MEMORY_LOCK: {
    exit: 6,
    meaning: "The frames can't be locked in memory, as an AF_XDP socket needs them.",
    hint: "Raise the limit (`ulimit -l`, systemd's LimitMEMLOCK) or grant CAP_IPC_LOCK: `wirelet doctor`.",
  },
  WIRELET_E_XDP_ATTACHED: {
    exit: 1,
    meaning: "The interface has an XDP program of somebody else.",
    hint: "See it with `ip link show`; take it off with `ip link set NAME xdp off` if nobody needs it.",
  },
  WIRELET_E_INTERFACE_GONE: {
    exit: 1,
    meaning: "The interface of a port was removed or moved to another network namespace.",
    hint: "A `dpdk` port goes on when it is back; for other devices, start the appliance again then.",
  },
  WIRELET_E_DPDK_MISSING: {
    exit: 6,
    meaning: "The DPDK plugin is not built, or does not load.",
    hint: "Install DPDK (Debian: apt-get install libdpdk-dev dpdk-dev) and run `npm run build`.",
  },
  WIRELET_E_DPDK_EAL: {
    exit: 6,
    meaning: "DPDK's environment (EAL) does not start, or has no memory left.",
    hint: "Its arguments are `dpdk: { eal: [...] }` in the config; docs/devices.md names the defaults.",
  },
  WIRELET_E_PCAP_FORMAT: {
    exit: 1,
    meaning: "The file is no capture file, or its first bytes are damaged.",
    hint: "Supported: pcap and pcapng, both byte orders, gzip too.",
  },
  WIRELET_E_INPUT: {
    exit: 1,
    meaning: "A file that was open can't be read any further.",
    hint: "The message names the file and the reason.",
  },
  WIRELET_E_OUTPUT: {
    exit: 1,
    meaning: "A file can't be written.",
    hint: "The message names the file and the reason, such as a full disk.",
  },
  WIRELET_E_MEMORY_EXHAUSTED: {
    exit: 6,
    meaning: "There is not enough memory of the kind the region needs.",
    hint: "Ask for fewer frames or set `hugepages: false`; `wirelet doctor` shows what there is.",
  },
  WIRELET_E_FRAME_SIZE: {
    exit: 3,
    meaning: "No frame size suits all devices of the config.",
    hint: "2,048 to 16,384 bytes in multiples of 64.",
  },
  WIRELET_E_MAP_COUNT: {
    exit: 6,
    meaning: "The appliance needs more memory mappings than the kernel allows.",
    hint: "sysctl -w vm.max_map_count=262144; `wirelet doctor` counts what is planned.",
  },
  WIRELET_E_LCORE: {
    exit: 6,
    meaning: "An lcore can't be pinned to its CPU.",
    hint: "Name CPUs that this process may use, or a number.",
  },
  WIRELET_E_LCORE_FAILED: {
    exit: 1,
    meaning: "An lcore ended by a bug of Wirelet; its packets were counted as stopped.",
    hint: "Please report the message and the stack.",
  },
  WIRELET_E_NO_APPLIANCE: {
    exit: 5,
    meaning: "No appliance is running here.",
    hint: "Start one with `wirelet run`.",
  },
  WIRELET_E_STATE: {
    exit: 1,
    meaning: "The call does not fit the state: started twice, read after stop.",
    hint: "create, start, stats, stop, in this order.",
  },
  WIRELET_E_ADDON_MISSING: {
    exit: 1,
    meaning: "The native addon is not built or does not load.",
    hint: "Build it with `npm run build`.",
  },
  WIRELET_E_INTERNAL: {
    exit: 1,
    meaning: "Something that should never happen happened.",
    hint: "Please report the message and the stack.",
  },
} as const;
export type ErrorCode = keyof typeof ERRORS;
