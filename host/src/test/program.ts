/**
 * A program on the calling thread: the engine's own checks, memory, faults and deadline, but no
 * lcore, no port and no privileges.
 */
import { fileURLToPath } from 'node:url';
import { BURST_MAX, PACKET_BYTES_MIN } from '../abi.js';
import { standalone } from '../check.js';
import type { Setting } from '../config/schema.js';
import { WireletError } from '../error.js';
import { faultOf } from '../fault.js';
import {
  coded,
  type NativeFault,
  type NativeProgram,
  type NativeRunner,
  native,
} from '../native.js';
import { type LoadedProgram, loadProgram } from '../program.js';
import { didYouMean } from '../suggest.js';
import { FaultError } from './fault-error.js';
import type { Outcome } from './outcome.js';
import { TestTable } from './table.js';

export interface TestProgramOptions {
  settings?: Record<string, Setting>;
  /** CPU time of one burst, 2 to 1000; default 10. */
  deadlineMs?: number;
}

export interface SendOptions {
  /** Number of the port that the packets come in by; default 0. */
  port?: number;
  /** What the program's clock says, in ns, 0 to 2^64 - 1; default: the monotonic clock. */
  nowNs?: number | bigint;
}

export interface SendAllOptions extends SendOptions {
  /** Packets of a burst, 1 to 256; default 64. */
  burst?: number;
}

const BURST_DEFAULT = 64;
const NS_PER_MS = 1e6;

type Caller = TestProgram['send'] | TestProgram['sendAll'];

/**
 * Compiles and loads a program, as an lcore would: a folder, a .ts or a .wasm file.
 *
 * ```ts
 * const guard = await testProgram('programs/dnsguard', { settings: { blocked: ['ads.example'] } });
 * expect(guard.send(udp({ to: '192.0.2.53:53', payload: dnsQuery('ads.example') }))).toDrop();
 * ```
 * @throws the codes of programs, modules and settings
 */
export async function testProgram(
  source: string | URL,
  options: TestProgramOptions = {},
): Promise<TestProgram> {
  const path = source instanceof URL ? fileURLToPath(source) : source;
  return new TestProgram(await loadProgram(path), options);
}

export class TestProgram {
  readonly name: string;
  #program: LoadedProgram;
  #options: TestProgramOptions;
  #runner: NativeRunner;
  #logs: string[] = [];

  /** Use {@link testProgram}, which compiles first. */
  constructor(program: LoadedProgram, options: TestProgramOptions) {
    this.name = program.name;
    this.#program = program;
    this.#options = options;
    this.#runner = openRunner(program, options);
  }

  /** Runs one packet, or 1 to 256 as one burst. @throws FaultError */
  send(packet: Uint8Array, options?: SendOptions): Outcome;
  send(packets: readonly Uint8Array[], options?: SendOptions): Outcome[];
  send(
    packets: Uint8Array | readonly Uint8Array[],
    options: SendOptions = {},
  ): Outcome | Outcome[] {
    const isOne = packets instanceof Uint8Array;
    const outcomes = this.#run(isOne ? [packets] : packets, options, this.send);
    const [first] = outcomes;
    return isOne && first ? first : outcomes;
  }

  /** Runs any number of packets, burst by burst. @throws FaultError */
  sendAll(packets: readonly Uint8Array[], options: SendAllOptions = {}): Outcome[] {
    const { burst = BURST_DEFAULT } = options;
    if (!Number.isInteger(burst) || burst < 1 || burst > BURST_MAX) {
      throw new WireletError('WIRELET_E_CONFIG_LIMIT', `burst: ${burst} is not 1 to ${BURST_MAX}`);
    }
    const outcomes: Outcome[] = [];
    for (let at = 0; at < packets.length; at += burst) {
      outcomes.push(...this.#run(packets.slice(at, at + burst), options, this.sendAll));
    }
    return outcomes;
  }

  /** What its counters hold, by name. */
  get counters(): Record<string, number> {
    const counters = coded(() => this.#runner.counters());
    return Object.fromEntries(counters.map(({ name, value }) => [name, Number(value)]));
  }

  /** What a counter holds. @throws WIRELET_E_COUNTERS when the program has none of that name */
  counter(name: string): number {
    const { counters } = this;
    const value = counters[name];
    if (value !== undefined) return value;
    const near = didYouMean(name, Object.keys(counters));
    throw new WireletError('WIRELET_E_COUNTERS', `${this.name} has no counter "${name}"${near}`);
  }

  /** One of its tables. @throws WIRELET_E_TABLE_UNKNOWN */
  table(name: string): TestTable {
    const tables = coded(() => this.#runner.tables());
    const types = () => this.#program.manifest?.tableTypes ?? [];
    const table = tables.find((each) => each.name === name);
    if (table) return new TestTable(() => this.#runner, table, types());
    const names = tables.map((each) => each.name);
    const message = `${this.name} has no table "${name}"${didYouMean(name, names)}`;
    throw new WireletError('WIRELET_E_TABLE_UNKNOWN', message);
  }

  /**
   * Puts another version in its place, as a swap does while packets flow: counters and tables stay,
   * tables grow or get longer values. When it fails, everything is as it was.
   * @throws WIRELET_E_TABLE_SCHEMA, the codes of programs and modules
   */
  async swap(source: string | URL, options: TestProgramOptions = this.#options): Promise<void> {
    const program = await loadProgram(source instanceof URL ? fileURLToPath(source) : source);
    coded(() => this.#runner.swap(specOf(program, options, this.name)));
    this.#program = program;
    this.#options = options;
  }

  /** What it has logged since it was loaded. */
  get logs(): readonly string[] {
    this.#logs.push(...coded(() => this.#runner.logs()));
    return this.#logs;
  }

  /** Starts anew: counters, state and logs are as they were when it was loaded. */
  reset(): void {
    this.#runner.close();
    this.#runner = openRunner(this.#program, this.#options);
    this.#logs = [];
  }

  /** Frees its memory now, instead of when nothing refers to it any more. */
  close(): void {
    this.#runner.close();
  }

  /** `caller` is the method that a test called. */
  #run(packets: readonly Uint8Array[], options: SendOptions, caller: Caller): Outcome[] {
    const { port = 0, nowNs } = options;
    const sent = packets.map(checkedPacket);
    const ports = sent.map(() => port);
    const time = nowNs === undefined ? undefined : checkedTime(nowNs);
    const result = coded(() => this.#runner.run(sent, ports, time));
    const outcomes = sent.map((packet, index): Outcome => {
      const verdict = result.verdicts[index] as Outcome['verdict'];
      const egress = verdict === 'redirect' ? (result.egress[index] ?? 0) : 0;
      const left = result.packets[index] ?? packet;
      return { sent: packet, verdict, packet: left, egress, mark: result.marks[index] ?? 0 };
    });
    if (result.fault) throw this.#faultError(result.fault, outcomes, caller);
    return outcomes;
  }

  #faultError(fault: NativeFault, outcomes: Outcome[], caller: Caller): FaultError {
    const { code, message, frames, packet } = fault;
    const origin = { code, message, frames, name: this.name, lcore: 0, generation: 1 };
    const error = new FaultError(faultOf(origin, this.#program), outcomes, packet);
    // The test's own line comes first: what lies between is the same for all of them.
    Error.captureStackTrace(error, caller);
    return error;
  }
}

/** What a device would hand on. @throws WIRELET_E_CONFIG_LIMIT */
function checkedPacket(packet: Uint8Array): Uint8Array {
  if (packet.length >= PACKET_BYTES_MIN) return packet;
  const message = `a packet of ${packet.length} bytes has no Ethernet header`;
  throw new WireletError('WIRELET_E_CONFIG_LIMIT', message, {
    hint: `Devices drop what has fewer than ${PACKET_BYTES_MIN} bytes.`,
  });
}

/** @throws WIRELET_E_CONFIG_LIMIT */
function checkedTime(nowNs: number | bigint): bigint {
  const isWhole = typeof nowNs === 'bigint' || Number.isSafeInteger(nowNs);
  if (isWhole && nowNs >= 0 && BigInt(nowNs) < 1n << 64n) return BigInt(nowNs);
  throw new WireletError('WIRELET_E_CONFIG_LIMIT', `nowNs: ${nowNs} is not 0 to 2^64 - 1`);
}

function openRunner(program: LoadedProgram, options: TestProgramOptions): NativeRunner {
  const { Runner } = native();
  return coded(() => new Runner(specOf(program, options, program.name)));
}

function specOf(
  program: LoadedProgram,
  { settings = {}, deadlineMs }: TestProgramOptions,
  name: string,
): NativeProgram {
  const spec = { ...standalone(program, settings), name };
  return deadlineMs === undefined ? spec : { ...spec, deadlineNs: deadlineMs * NS_PER_MS };
}
