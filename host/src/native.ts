/**
 * The native addon: its shape, and how it is found. Everything here is a thin mirror of
 * `native/node/src`; the meaning of the numbers is in `native/abi`.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isErrorCode, WireletError } from './error.js';

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
}

export interface NativeProgram {
  name: string;
  wasm: Uint8Array;
  /** Settings page, from `encodeSettings`; empty for none. */
  settings: Uint8Array;
  deadlineNs: number;
  /** What untouched packets of a faulted burst get. */
  onFault: 'drop' | 'pass';
  /** Indexes of the ports it may redirect to; undefined: all. */
  redirectTo?: number[];
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
}

/** Something that happened; taken by polling, so a busy host delays nothing but itself. */
export interface NativeEvent {
  kind: 'fault' | 'log' | 'device' | 'lcore';
  /** Nanoseconds of the monotonic clock. */
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

export interface NativeCounter {
  program: string;
  name: string;
  /** Sum over lcores. */
  value: bigint;
}

export interface NativeAppliance {
  start(): void;
  /** The counters page (SIZEOF_PAGE_HEADER ... in abi.ts), shared with the lcores. */
  statsPage(): ArrayBuffer;
  xstatNames(port: number): string[];
  counters(): NativeCounter[];
  /** Takes the events since the last call, oldest first. */
  events(): NativeEvent[];
  /** Events that were lost because nobody took them. */
  eventsLost(): number;
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
  ): {
    /** Names as in VERDICTS, or 'undecided'. */
    verdicts: string[];
    egress: number[];
    marks: number[];
    packets: Uint8Array[];
    fault?: NativeFault;
  };
  counters(): NativeCounter[];
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
  checkModule(wasm: Uint8Array): NativeModuleInfo;
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
