/** Looking at packets of an appliance that runs: of a port, or of a program. */
import { FRAME_BYTES_MAX } from './abi.js';
import { WireletError } from './error.js';
import {
  type NativeAppliance,
  type NativeTrace,
  type NativeTracedPacket,
  native,
  rethrowNative,
} from './native.js';
import { didYouMean } from './suggest.js';
import { TENANT_DEFAULT } from './tenant.js';

/** Between two looks at what was copied. */
const POLL_MS = 20;
/** Packets that are taken at once. */
const BATCH = 500;
/** Numbers of an instruction: code, jt, jf, k. */
export const NUMBERS_PER_INSTRUCTION = 4;

export interface TraceOptions {
  /** In tcpdump's language; default all packets. */
  filter?: string;
  /** Packets, then it ends; default no end. */
  count?: number;
  /** One of so many that match, per lcore and direction; default 1. */
  every?: number;
  /** Bytes of a packet to keep; default all. */
  snap?: number;
}

/** With the filter as instructions: what goes over the control socket. */
export interface CompiledTraceOptions extends Omit<TraceOptions, 'filter'> {
  filter?: readonly number[];
}

/** `before` is a packet as a program got it, where the program has changed it. */
export type TraceMoment = 'rx' | 'tx' | 'before' | 'after';

export interface TracedPacket {
  lcore: number;
  moment: TraceMoment;
  /** The port that is traced; of a program's packets, the one they came in by. */
  port: string;
  /** Who decided it; '' where no program did. */
  program: string;
  /** A verdict, or `fault`; '' where there is none. */
  verdict: string;
  /** `dropped by guard`, `forwarded to wan`. */
  note: string;
  /** Nanoseconds since 1970. */
  timeNs: bigint;
  /** Bytes of the packet; `packet` may have fewer of them. */
  length: number;
  packet: Uint8Array;
}

export interface TraceTarget {
  kind: 'port' | 'program';
  name: string;
}

interface Names {
  ports: readonly string[];
  programs: readonly string[];
}

/**
 * The instructions of a filter, four numbers each, made by libpcap.
 * @throws WIRELET_E_FILTER, WIRELET_E_LIBPCAP
 */
export function compileFilter(expression: string): Promise<number[]> {
  return native().compileFilter(expression).catch(rethrowNative);
}

/**
 * The port or program that `text` names; `port:` or `program:` tells two of one name apart.
 *
 * ```ts
 * traceTarget('port:wan', { ports: ['wan'], programs: ['wan'] }); // { kind: 'port', name: 'wan' }
 * ```
 * @throws WIRELET_E_TRACE
 */
export function traceTarget(text: string, { ports, programs }: Names): TraceTarget {
  const [, kind, named = ''] = /^(?:(port|program):)?(.*)$/s.exec(text) ?? [];
  const program = named.startsWith(`${TENANT_DEFAULT}/`) ? named.slice(8) : named;
  const isPort = kind !== 'program' && ports.includes(named);
  const isProgram = kind !== 'port' && programs.includes(program);
  if (isPort && isProgram) {
    const message = `a port and a program are called ${named}`;
    const hint = `Write port:${named} or program:${named}.`;
    throw new WireletError('WIRELET_E_TRACE', message, { hint });
  }
  if (isPort) return { kind: 'port', name: named };
  if (isProgram) return { kind: 'program', name: program };
  const known = kind === 'port' ? ports : kind === 'program' ? programs : [...ports, ...programs];
  const message = `no ${kind ?? 'port or program'} "${named}" is here${didYouMean(named, known)}`;
  const list = [`Ports: ${ports.join(', ')}.`, `Programs: ${programs.join(', ') || 'none'}.`];
  throw new WireletError('WIRELET_E_TRACE', message, { hint: list.join(' ') });
}

/** A trace: it is on the lcores until the loop over it ends, or it is stopped. */
export class Trace implements AsyncIterable<TracedPacket> {
  readonly target: TraceTarget;
  readonly #native: NativeTrace;
  readonly #ports: readonly string[];
  readonly #count: number;
  #lost = 0;
  #shown = 0;
  #ended: Promise<void> | undefined;

  /** Use {@link startTrace}. */
  constructor(
    target: TraceTarget,
    trace: NativeTrace,
    ports: readonly string[],
    count: number | undefined,
  ) {
    this.target = target;
    this.#native = trace;
    this.#ports = ports;
    this.#count = count ?? Number.POSITIVE_INFINITY;
  }

  /** Packets that matched and found no room: whoever shows them is too slow. */
  get lost(): number {
    return this.#lost;
  }

  /** Packets that were given out. */
  get shown(): number {
    return this.#shown;
  }

  /** Takes it from the lcores; what was copied until then still comes. */
  stop(): Promise<void> {
    this.#ended ??= this.#native.end().catch(rethrowNative);
    return this.#ended;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TracedPacket> {
    for await (const packets of this.batches()) yield* packets;
  }

  /** Packets by the batch; an empty one now and then, so that a caller can look around. */
  async *batches(): AsyncGenerator<TracedPacket[]> {
    try {
      while (this.#shown < this.#count) {
        const { packets, lost, over } = this.#native.take(BATCH);
        this.#lost = Math.max(this.#lost, lost);
        const wanted = packets.slice(0, this.#count - this.#shown);
        this.#shown += wanted.length;
        yield wanted.map((packet) => this.#packet(packet));
        if (over) return;
        if (packets.length < BATCH) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      }
    } finally {
      await this.stop();
    }
  }

  #packet({ port, ...packet }: NativeTracedPacket): TracedPacket {
    const { kind, name } = this.target;
    const camePort = this.#ports[port] ?? String(port);
    return { ...packet, port: kind === 'port' ? name : camePort };
  }
}

/** Puts a trace on the lcores of `appliance`. @throws WIRELET_E_TRACE, WIRELET_E_FILTER */
export async function startTrace(
  appliance: NativeAppliance,
  target: TraceTarget,
  ports: readonly string[],
  { filter = [], count, every = 1, snap = FRAME_BYTES_MAX }: CompiledTraceOptions,
): Promise<Trace> {
  const spec = {
    port: target.kind === 'port' ? ports.indexOf(target.name) : -1,
    program: target.name,
    filter: [...filter],
    every,
    snap,
  };
  return new Trace(target, await appliance.trace(spec).catch(rethrowNative), ports, count);
}
