/**
 * The native addon: its shape, and how it is found. Everything here is a thin mirror of
 * `native/node/src`; the meaning of the numbers is in `native/abi`.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isErrorCode, WireletError } from './error.js';
import type { NativeInterface, NativeKernel, NativeNuma } from './native-machine.js';

/** What the engine found out about a module at the door. */
export interface NativeModuleInfo {
  /** Functions, imported ones included. */
  functions: number;
  /** Bytes of the program's own memory. */
  memoryBytes: number;
  /** Names it imports from `wirelet`. */
  imports: string[];
  /** Whether it exports onLoad. */
  onLoad: boolean;
  /** Bytes of machine code. */
  codeBytes: number;
  /** Milliseconds that checking and compiling took. */
  compileMs: number;
}

export interface NativePort {
  name: string;
  /** Device spec, `gen:?rate=1M`. */
  device: string;
  queues: number;
  /** Index of the port that passed packets leave by, or -1. */
  forward: number;
  /** Index of the port that punted packets leave by, or -1. */
  punt: number;
  /** Indexes of the programs that packets of this port run through, in order. */
  pipeline: number[];
  /** What is decided before they see a packet; the first that matches. */
  rules: NativeRule[];
  /** Who carries these out. */
  offload: 'auto' | 'never' | 'always';
}

/** A rule. All that it says must hold; what is missing is not looked at. */
export interface NativeRule {
  /** Number of the outermost tag; -1 for packets without one. */
  vlan?: number;
  etherType?: number;
  /** Address or prefix. */
  source?: string;
  destination?: string;
  protocol?: number;
  /** First and last. */
  sourcePort?: [number, number];
  destinationPort?: [number, number];
  drop: boolean;
  /** Goes to the lcore of this queue. */
  queue?: number;
  mark?: number;
}

/** Who carries out a port's rules. */
export interface NativeRulesPlace {
  hardware: boolean;
  /** Hits are counted. */
  counted: boolean;
  /** Why not the hardware, where it was asked; else ''. */
  refused: string;
}

/** Which packets a program must see on one lcore. */
export type Affinity = 'none' | 'flow' | 'symmetric';

export interface NativeProgram {
  name: string;
  wasm: Uint8Array;
  /** Settings page, from `encodeSettings`; empty for none. */
  settings: Uint8Array;
  deadlineNs: number;
  /** What untouched packets of a faulted burst get. */
  onFault: 'drop' | 'pass' | 'previous';
  /** Indexes of the ports it may redirect to; undefined: all. */
  redirectTo?: number[];
  /** Missing: none. */
  affinity?: Affinity;
  /** Fields of the types that its tables have as keys and values, from the manifest. */
  tableTypes?: NativeTableType[];
}

/** A key's or value's type: `FlowKey`, `source:u32@0,destination:u32@4`. */
export interface NativeTableType {
  name: string;
  layout: string;
}

/** A program of the next generation. */
export interface NativeNextProgram {
  /** Of one that is kept only the name is read; `wasm` may be empty. */
  program: NativeProgram;
  /** It is unchanged: its instances stay. */
  keep: boolean;
}

/** Everything that a generation is; devices, lcores and frames stay. */
export interface NativeGenerationSpec {
  programs: NativeNextProgram[];
  /** Of each port, in the order of the appliance. */
  ports: Pick<NativePort, 'forward' | 'punt' | 'pipeline' | 'rules'>[];
  /** Tables whose shape differs begin empty instead of refusing the swap. */
  resetState: boolean;
  /** Stop before publishing: everything is checked, nothing is touched. */
  dryRun: boolean;
  /** Faults of a changed program within `rollbackMs` that bring the old one back; 0: never. */
  rollbackFaults: number;
  rollbackMs: number;
}

/** What became, or would become, of a table. */
export interface NativeTableChange {
  program: string;
  table: string;
  action: 'attach' | 'create' | 'grow' | 'extend' | 'reset';
}

/** A generation that all lcores have adopted. */
export interface NativeSwap {
  generation: number;
  tables: NativeTableChange[];
  /** Milliseconds: native compile, instances with onLoad and windows, copying tables, adoption. */
  compileMs: number;
  instantiateMs: number;
  copyMs: number;
  adoptMs: number;
}

/** One of an appliance's tables. */
export interface NativeTable {
  program: string;
  name: string;
  /** As in TABLE_KINDS. */
  kind: string;
  shared: boolean;
  persist: boolean;
  capacity: number;
  keyBytes: number;
  valueBytes: number;
  /** Names of types; '' for an array's key. */
  keyType: string;
  valueType: string;
  /** One row for each lcore, one in all for a shared table. */
  lcores: { count: number; refused: number; evicted: number; bytes: number }[];
}

/** A part of a table; `next` is where the next part begins, -1 at the end. */
export interface NativeTablePart {
  count: number;
  /** One behind the other. */
  keys: Uint8Array;
  keyBytes: number;
  values: Uint8Array;
  valueBytes: number;
  next: number;
}

/** A packet that both programs got and answered differently. */
export interface NativeShadowDifference {
  lcore: number;
  port: number;
  packet: Uint8Array;
  verdicts: [string, string];
  egress: [number, number];
  marks: [number, number];
  packets: [Uint8Array, Uint8Array];
}

export interface NativeShadow {
  sampled: number;
  /** Sampled, but there was no room: the run fell behind. */
  lost: number;
  differences: number;
  /** The first 64 of them. */
  examples: NativeShadowDifference[];
  /** Faults of the current program and of the candidate. */
  faults: [number, number];
  fault?: NativeFault;
}

/** What to trace. */
export interface NativeTraceSpec {
  /** Index of a port, or -1 for a program. */
  port: number;
  program: string;
  /** Instructions of `compileFilter`; none for all packets. */
  filter: number[];
  /** One of so many that match, at least 1. */
  every: number;
  /** Bytes of a packet to keep. */
  snap: number;
}

export interface NativeTracedPacket {
  lcore: number;
  moment: 'rx' | 'tx' | 'before' | 'after';
  /** Index of the port it came in by. */
  port: number;
  length: number;
  /** Nanoseconds since 1970. */
  timeNs: bigint;
  verdict: string;
  program: string;
  note: string;
  packet: Uint8Array;
}

export interface NativeTrace {
  /** Packets that wait, at most `max`; `over` when nothing comes any more. */
  take(max: number): { packets: NativeTracedPacket[]; lost: number; over: boolean };
  /** Takes it from the lcores; what was copied until then can still be taken. */
  end(): Promise<void>;
}

export interface NativeApplianceSpec {
  frames: number;
  frameBytes: number;
  hugepages: boolean;
  /** CPU of each lcore; -1 for one that is not pinned. */
  lcores: number[];
  /** Packets per burst at most, 1 to 256. */
  burst: number;
  idle: 'poll' | 'adaptive';
  /** Rebuild a faulted program at once and on the lcore, so that offline results repeat. */
  offline: boolean;
  ports: NativePort[];
  programs: NativeProgram[];
  /** Folder on tmpfs that state is kept in over restarts; none: it ends with the process. */
  stateDirectory?: string;
  /** Arguments of DPDK's environment; none: the defaults. */
  eal?: string[];
}

/** Something that happened; taken by polling, so a busy host delays nothing but itself. */
export interface NativeEvent {
  kind:
    | 'fault'
    | 'log'
    | 'link'
    | 'reopened'
    | 'placement'
    | 'device'
    | 'state'
    | 'lcore'
    | 'swap'
    | 'rollback'
    | 'quarantine';
  /** Nanoseconds since 1970. */
  timeNs: bigint;
  lcore: number;
  /** Program's or port's name. */
  name: string;
  /** Of a fault, device or lcore event: WIRELET_E_... */
  code?: string;
  message: string;
  generation: number;
  /** Of a fault: module offsets of the frames, innermost first, with function names. */
  frames: { offset: number; name: string }[];
  /** Of a fault: the packet being worked on, as it is now. */
  packet?: Uint8Array;
}

/** A packet that a program punted to the host. */
export interface NativePunted {
  /** Nanoseconds since 1970. */
  timeNs: bigint;
  lcore: number;
  port: string;
  program: string;
  mark: number;
  packet: Uint8Array;
}

export interface NativeCounter {
  program: string;
  name: string;
  /** Sum over lcores. */
  value: bigint;
}

export interface NativeAppliance {
  start(): void;
  /** Number of the newest generation that all lcores have adopted. */
  generation(): number;
  /** Names of programs by slot, '' for free ones: the order of the counters page. */
  programSlots(): string[];
  /** Makes `spec` the next generation; resolves when all lcores have adopted it. */
  swap(spec: NativeGenerationSpec): Promise<NativeSwap>;
  /** Publishes the programs of the generation before, with the state as it is. */
  rollback(): Promise<NativeSwap>;
  /** Runs `candidate` beside the running program of the same name over a sample of its packets. */
  shadow(
    candidate: NativeProgram,
    options: { durationMs: number; sampleOneIn: number },
  ): Promise<NativeShadow>;
  /** Puts a trace on the lcores. */
  trace(spec: NativeTraceSpec): Promise<NativeTrace>;
  tables(): NativeTable[];
  /** Entries from `cursor` (0 at first) on, at most `max`, of one lcore's table. */
  tableRead(
    program: string,
    table: string,
    lcore: number,
    cursor: number,
    max: number,
  ): NativeTablePart;
  /** Value of `key` on each lcore; null where it is not. LPM: the longest match of an address. */
  tableGet(program: string, table: string, key: Uint8Array): (Uint8Array | null)[];
  /** Writes on one lcore, or on all with -1; resolves when they have applied it. */
  tableSet(
    program: string,
    table: string,
    lcore: number,
    key: Uint8Array,
    value: Uint8Array,
  ): Promise<void>;
  /** False where the key was on no lcore. */
  tableDelete(program: string, table: string, lcore: number, key: Uint8Array): Promise<boolean>;
  /** Builds the table aside and flips it; on one lcore, or on all with -1. */
  tableReplace(
    program: string,
    table: string,
    lcore: number,
    keys: Uint8Array[],
    values: Uint8Array[],
  ): Promise<void>;
  /** The counters page (SIZEOF_PAGE_HEADER ... in abi.ts), shared with the lcores. */
  statsPage(): ArrayBuffer;
  xstatNames(port: number): string[];
  rulesPlace(port: number): NativeRulesPlace;
  counters(): NativeCounter[];
  /** Takes the events since the last call, oldest first. */
  events(): NativeEvent[];
  /** Events that were lost because nobody took them. */
  eventsLost(): number;
  /** Whether punted packets without a port to leave by are kept for `punted`. */
  listenToPunts(listens: boolean): void;
  /** Takes the packets that were punted to the host since the last call; 256 of an lcore wait. */
  punted(): NativePunted[];
  /** Whether all finite inputs have ended and nothing is in flight. False with endless inputs. */
  finished(): boolean;
  /** Asks the lcores to stop receiving, to drain for at most `drainMs`, and to end. */
  requestStop(drainMs: number): void;
  stopped(): boolean;
  /** Frames that nobody has given back; 0 after a stop, or there is a leak. */
  framesUsed(): number;
  /** Closes devices and frees everything. Throws what a device could not write. */
  close(): void;
}

/** One fault of a run on the calling thread. */
export interface NativeFault {
  code: string;
  message: string;
  frames: { offset: number; name: string }[];
  /** Index of the packet being worked on, or -1. */
  packet: number;
}

/** A program on the calling thread: tests, tools, Workers. */
export interface NativeRunner {
  /** Runs one burst of 1 to 256 packets; `packets` come back as they are after it. */
  run(
    packets: Uint8Array[],
    ports: number[],
    /** Of the monotonic clock; now, if it is not given. */
    nowNs?: bigint,
  ): {
    /** Names as in VERDICTS, or 'undecided'. */
    verdicts: string[];
    egress: number[];
    marks: number[];
    packets: Uint8Array[];
    fault?: NativeFault;
  };
  /** Puts another version in its place, with counters and tables; or throws, and it stays. */
  swap(program: NativeProgram): void;
  counters(): NativeCounter[];
  tables(): NativeTable[];
  /** Entries from `cursor` (0 at first) on, at most `max`. */
  tableRead(table: string, cursor: number, max: number): NativeTablePart;
  /** LPM: the longest match of an address. */
  tableGet(table: string, key: Uint8Array): Uint8Array | null;
  tableSet(table: string, key: Uint8Array, value: Uint8Array): void;
  /** False when the key was not there. */
  tableDelete(table: string, key: Uint8Array): boolean;
  logs(): string[];
  close(): void;
}

export interface NativeBenchRow {
  burst: number;
  nsPerPacket: number;
  /** For programs that have a native twin. */
  nativeNsPerPacket?: number;
  /** Medians of the raw samples, ns per packet, interleaved. */
  samples: number[];
  nativeSamples: number[];
}

export interface NativeBinding {
  version(): string;
  /** Sends lines such as READY=1 to the service manager's socket; false when it has no room. */
  notifyService(socket: string, state: string): boolean;
  /** Tries what devices need, and lets go of it again. */
  kernelFacts(): NativeKernel;
  /** NUMA nodes, and those of these devices; `root` is a folder like /sys. */
  numaFacts(devices: string[], root?: string): NativeNuma;
  /** Looks at these interfaces, or at all but loopback. */
  interfaceFacts(names?: string[]): NativeInterface[];
  checkModule(wasm: Uint8Array): NativeModuleInfo;
  /** Instructions of a filter in tcpdump's language, four numbers each, by libpcap. */
  compileFilter(expression: string): Promise<number[]>;
  /** The first bytes of a packet of `length` as a line; what they don't hold is `[|tcp]`. */
  packetLine(bytes: Uint8Array, length: number): string;
  Appliance: new (spec: NativeApplianceSpec) => NativeAppliance;
  Runner: new (program: NativeProgram) => NativeRunner;
  /** Times `wasm` (and the twin called `twin`, if not empty) over `packets`, on a native thread. */
  bench(
    program: NativeProgram,
    twin: string,
    packets: Uint8Array[],
    bursts: number[],
    rounds: number,
  ): Promise<NativeBenchRow[]>;
  /** Names of the programs that have a native twin. */
  benchTwins(): string[];
}

let binding: NativeBinding | undefined;

/** The addon, loaded once. @throws WIRELET_E_ADDON_MISSING */
export function native(): NativeBinding {
  if (binding) return binding;
  const file = fileURLToPath(new URL('../wirelet.node', import.meta.url));
  if (!existsSync(file)) throw new WireletError('WIRELET_E_ADDON_MISSING', `${file} is not there`);
  try {
    binding = createRequire(import.meta.url)(file) as NativeBinding;
  } catch (error) {
    throw new WireletError('WIRELET_E_ADDON_MISSING', `${file}: ${String(error)}`);
  }
  return binding;
}

/** Errors of the addon carry their code in front of the message. */
export function rethrowNative(error: unknown): never {
  const text = error instanceof Error ? error.message : String(error);
  const [, code = '', message = ''] = /^(WIRELET_E_[A-Z_]+): ([\s\S]*)$/.exec(text) ?? [];
  if (!isErrorCode(code)) throw error;
  throw new WireletError(code, message);
}

/** Runs a call of the addon; its errors become coded ones. */
export function coded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    rethrowNative(error);
  }
}
