// Runs a program under V8 for tests: compiles it as the build does, lays its memory out as the
// engine does, and shows what came out. The engine's own tests replay the same cases natively.

import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';
import { readAbi, SETTING } from './abi.js';
import { type TableOptions, Tables } from './tables.js';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const abi = readAbi(resolve(ROOT, 'runtime/abi.ts'));

export type Setting = number | boolean | string | string[] | number[];
export type Settings = Record<string, Setting>;
export const VERDICTS = ['pass', 'drop', 'redirect', 'punt'] as const;
export type VerdictName = (typeof VERDICTS)[number];

/** What a packet became. */
export interface Outcome {
  verdict: VerdictName | 'undecided';
  bytes: Uint8Array;
  egress: number;
  mark: number;
}

/** Descriptor fields that a test may set. */
export interface Received {
  bytes: Uint8Array;
  port?: number;
  hash?: number;
  mark?: number;
  flags?: number;
  timestampNs?: bigint;
}

const HEADROOM = 128;
const FRAME_BYTES = 2240;

/** The wrapper text of `runtime/entry.ts` for an author's file. */
export function wrapper(source: string, path: string): string {
  const template = readFileSync(resolve(ROOT, 'runtime/entry.ts'), 'utf8');
  const texts = [...template.matchAll(/^\/\/ \d\. .*\n\/\/\n((?:\/\/ {3}.*\n)+)/gm)].map((match) =>
    (match[1] ?? '').replace(/^\/\/ {3}/gm, ''),
  );
  const [onPacket = '', onLoad = '', onBurst = ''] = texts;
  const loop = /export function onPacket\b/.test(source) ? onPacket : onBurst;
  const load = /export function onLoad\b/.test(source) ? onLoad : '';
  return (loop + load).replaceAll('PROGRAM', path);
}

/** A compiled program. */
export interface Module {
  wasm: Uint8Array<ArrayBuffer>;
  wat: string;
}

const compiled = new Map<string, Promise<Module>>();

/** The module of the program in a folder of the repository, as `programs/drop`. */
export function compile(folder: string): Promise<Module> {
  let module = compiled.get(folder);
  if (module === undefined) {
    module = compileEntry(folder);
    compiled.set(folder, module);
  }
  return module;
}

async function compileEntry(folder: string): Promise<Module> {
  const entry = `${folder}/wirelet-entry.ts`;
  const source = readFileSync(resolve(ROOT, folder, 'index.ts'), 'utf8');
  let wasm: Uint8Array<ArrayBuffer> | undefined;
  let wat = '';
  const { error, stderr } = await asc.main(
    [
      entry,
      '--baseDir',
      ROOT,
      '--config',
      'asconfig.json',
      '--outFile',
      'o.wasm',
      '--textFile',
      'o.wat',
    ],
    {
      readFile(name, base) {
        if (name === entry) return wrapper(source, './index');
        const path = resolve(base, name);
        return existsSync(path) ? readFileSync(path, 'utf8') : null;
      },
      writeFile(_name, contents) {
        if (typeof contents === 'string') wat = contents;
        else wasm = Uint8Array.from(contents);
      },
      listFiles: () => [],
    },
  );
  if (error || wasm === undefined) throw new Error(`${error?.message}\n${stderr.toString()}`);
  return { wasm, wat };
}

/** An instance of a program. */
export class Guest {
  logs: string[] = [];
  /** The time of bursts. */
  nowNs = 1_000_000n;
  private readonly names = new Map<string, number>();
  private constructor(
    private readonly instance: { onBurst(address: number): void },
    readonly memory: WebAssembly.Memory,
    readonly tables: Tables,
  ) {}

  /** Compiles, instantiates and loads the program in `folder`. */
  static async load(
    folder: string,
    settings: Settings = {},
    tableOptions: TableOptions = {},
  ): Promise<Guest> {
    const module = await WebAssembly.compile((await compile(folder)).wasm);
    let guest: Guest | undefined;
    const memory = (): WebAssembly.Memory => exports.memory as WebAssembly.Memory;
    const names = new Map<string, number>();
    const logs: string[] = [];
    const text = (at: number, bytes: number): string =>
      new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(memory().buffer, at, bytes));
    const tables = new Tables(abi, memory, tableOptions);
    const { exports } = await WebAssembly.instantiate(module, {
      wirelet: {
        log: (at: number, bytes: number) => logs.push(text(at, bytes)),
        counter(at: number, bytes: number) {
          if (guest !== undefined) throw new Error('counter() after loading');
          const name = text(at, bytes);
          const address = names.get(name) ?? abi.STATE_WINDOW + names.size * 8;
          names.set(name, address);
          return address;
        },
        table(spec: number, bytes: number) {
          if (guest !== undefined) throw new Error('table() after loading');
          return tables.open(spec, bytes);
        },
        abort(message: number) {
          throw new Error(`abort: ${utf16(memory(), message)}`);
        },
      },
    });
    writeSettings(memory(), settings);
    (exports._initialize as () => void)();
    (exports.onLoad as (() => void) | undefined)?.();
    const program = exports as unknown as { onBurst(address: number): void };
    guest = new Guest(program, memory(), tables);
    for (const [name, address] of names) guest.names.set(name, address);
    guest.logs = logs;
    return guest;
  }

  /** Runs the packets in bursts. */
  run(packets: readonly (Uint8Array | Received)[], burst = abi.BURST_MAX): Outcome[] {
    const outcomes: Outcome[] = [];
    for (let i = 0; i < packets.length; i += burst) {
      outcomes.push(...this.runBurst(packets.slice(i, i + burst)));
    }
    return outcomes;
  }

  /** What the counters hold, by name. */
  get counters(): Record<string, number> {
    const view = new DataView(this.memory.buffer);
    return Object.fromEntries(
      [...this.names].map(([name, at]) => [name, Number(view.getBigUint64(at, true))]),
    );
  }

  private runBurst(packets: readonly (Uint8Array | Received)[]): Outcome[] {
    const view = new DataView(this.memory.buffer);
    const bytes = new Uint8Array(this.memory.buffer);
    view.setUint32(abi.BURST_PAGE, packets.length, true);
    view.setUint32(abi.BURST_PAGE + abi.BURST_HEADER_LCORE, 3, true);
    view.setUint32(abi.BURST_PAGE + abi.BURST_HEADER_GENERATION, 7, true);
    view.setBigUint64(abi.BURST_PAGE + abi.BURST_HEADER_NOW_NS, this.nowNs, true);
    packets.forEach((packet, i) => {
      const received = packet instanceof Uint8Array ? { bytes: packet } : packet;
      this.writeDescriptor(view, bytes, received, i);
    });
    this.instance.onBurst(abi.BURST_PAGE);
    return packets.map((_, i) => readDescriptor(view, bytes, i));
  }

  private writeDescriptor(view: DataView, bytes: Uint8Array, packet: Received, i: number): void {
    const at = abi.DESCRIPTORS + i * abi.SIZEOF_DESCRIPTOR;
    const size = Math.max(FRAME_BYTES, HEADROOM + packet.bytes.length);
    const frame = abi.PACKET_WINDOW + i * Math.max(FRAME_BYTES, 65536 + HEADROOM);
    // What a frame held before is no concern of the next packet: make it visible if it is.
    bytes.fill(0xaa, frame, frame + size);
    bytes.set(packet.bytes, frame + HEADROOM);
    view.setUint32(at + abi.DESCRIPTOR_DATA, frame + HEADROOM, true);
    view.setUint16(at + abi.DESCRIPTOR_LENGTH, packet.bytes.length, true);
    view.setUint16(at + abi.DESCRIPTOR_HEADROOM, HEADROOM, true);
    view.setUint16(at + abi.DESCRIPTOR_TAILROOM, size - HEADROOM - packet.bytes.length, true);
    view.setUint16(at + abi.DESCRIPTOR_PORT, packet.port ?? 0, true);
    view.setUint8(at + abi.DESCRIPTOR_VERDICT, abi.VERDICT_UNDECIDED);
    view.setUint8(at + abi.DESCRIPTOR_FLAGS, packet.flags ?? 0);
    view.setUint16(at + abi.DESCRIPTOR_EGRESS, 0, true);
    view.setUint32(at + abi.DESCRIPTOR_HASH, packet.hash ?? 0, true);
    view.setUint32(at + abi.DESCRIPTOR_MARK, packet.mark ?? 0, true);
    view.setBigUint64(at + abi.DESCRIPTOR_TIMESTAMP_NS, packet.timestampNs ?? 0n, true);
  }
}

function readDescriptor(view: DataView, bytes: Uint8Array, i: number): Outcome {
  const at = abi.DESCRIPTORS + i * abi.SIZEOF_DESCRIPTOR;
  const data = view.getUint32(at + abi.DESCRIPTOR_DATA, true);
  return {
    verdict: VERDICTS[view.getUint8(at + abi.DESCRIPTOR_VERDICT)] ?? 'undecided',
    bytes: bytes.slice(data, data + view.getUint16(at + abi.DESCRIPTOR_LENGTH, true)),
    egress: view.getUint16(at + abi.DESCRIPTOR_EGRESS, true),
    mark: view.getUint32(at + abi.DESCRIPTOR_MARK, true),
  };
}

function utf16(memory: WebAssembly.Memory, at: number): string {
  if (at === 0) return '';
  const bytes = new DataView(memory.buffer).getUint32(at - 4, true);
  return new TextDecoder('utf-16le').decode(new Uint8Array(memory.buffer, at, bytes));
}

/** Lays the settings page out as native/abi says. */
function writeSettings(memory: WebAssembly.Memory, settings: Settings): void {
  const view = new DataView(memory.buffer);
  const entries = Object.entries(settings);
  const page = abi.SETTINGS_PAGE;
  let free = page + abi.SIZEOF_SETTINGS_HEADER + entries.length * abi.SIZEOF_SETTINGS_ENTRY;
  const place = (bytes: Uint8Array): number => {
    const at = free;
    new Uint8Array(memory.buffer).set(bytes, at);
    free = (at + bytes.length + 7) & ~7;
    return at;
  };
  const string = (text: string): [number, number] => {
    const bytes = new TextEncoder().encode(text);
    return [place(bytes), bytes.length];
  };
  free = (free + 7) & ~7;
  view.setUint32(page + abi.SETTINGS_HEADER_ABI, 1, true);
  view.setUint32(page + abi.SETTINGS_HEADER_COUNT, entries.length, true);
  entries.forEach(([name, value], i) => {
    const at = page + abi.SIZEOF_SETTINGS_HEADER + i * abi.SIZEOF_SETTINGS_ENTRY;
    const [nameAt, nameBytes] = string(name);
    view.setUint32(at + abi.SETTINGS_ENTRY_NAME, nameAt, true);
    view.setUint32(at + abi.SETTINGS_ENTRY_NAME_BYTES, nameBytes, true);
    view.setUint32(at + abi.SETTINGS_ENTRY_COUNT, Array.isArray(value) ? value.length : 1, true);
    writeValue(view, at, value, string, place);
  });
}

function writeValue(
  view: DataView,
  at: number,
  value: Setting,
  string: (text: string) => [number, number],
  place: (bytes: Uint8Array) => number,
): void {
  const kind = (code: number): void => view.setUint32(at + abi.SETTINGS_ENTRY_KIND, code, true);
  const reference = ([address, bytes]: [number, number]): void => {
    view.setBigUint64(at + abi.SETTINGS_ENTRY_VALUE, BigInt(address), true);
    view.setUint32(at + abi.SETTINGS_ENTRY_VALUE_BYTES, bytes, true);
  };
  if (typeof value === 'number') {
    kind(SETTING.number);
    view.setFloat64(at + abi.SETTINGS_ENTRY_VALUE, value, true);
  } else if (typeof value === 'boolean') {
    kind(SETTING.boolean);
    view.setBigUint64(at + abi.SETTINGS_ENTRY_VALUE, value ? 1n : 0n, true);
  } else if (typeof value === 'string') {
    kind(SETTING.string);
    reference(string(value));
  } else if (value.every((item) => typeof item === 'string')) {
    kind(SETTING.strings);
    const pairs = new Uint32Array(value.flatMap((item) => string(item)));
    reference([place(new Uint8Array(pairs.buffer)), pairs.byteLength]);
  } else {
    kind(SETTING.numbers);
    const numbers = new Float64Array(value.filter((item) => typeof item === 'number'));
    reference([place(new Uint8Array(numbers.buffer)), numbers.byteLength]);
  }
}
