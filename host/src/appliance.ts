/**
 * An appliance: lcores that run programs on the packets of ports. This side starts it, asks it how
 * it is doing and stops it; no packet ever waits for this side.
 */

import { type ResolvedConfig, type ResolveOptions, resolveConfig } from './config/resolve.js';
import type { WireletConfig } from './config/schema.js';
import { asWireletError, isErrorCode, WireletError } from './error.js';
import { type Fault, faultOf } from './fault.js';
import { Listeners } from './listeners.js';
import { type NativeAppliance, type NativeEvent, native, rethrowNative } from './native.js';
import { type LoadedProgram, loadProgram, nativeProgram } from './program.js';
import { StatsPage } from './stats/page.js';
import { decodeStats, type Stats, type StatsNames } from './stats/stats.js';

/** How often events are taken and the end is looked for. */
const POLL_MS = 20;
const DRAIN_DEFAULT_MS = 2000;
/** What a stop may take beyond the drain: lcores end at a burst boundary, devices close. */
const STOP_GRACE_MS = 3000;

export interface ApplianceOptions extends ResolveOptions {
  /** Rebuild faulted programs at once and on the lcore, so that offline results repeat. */
  offline?: boolean;
}

/** A line that a program logged. */
export interface LogLine {
  program: string;
  lcore: number;
  text: string;
}

export interface ApplianceEvents {
  /** A program faulted. */
  fault: Fault;
  /** A program logged a line. */
  log: LogLine;
  /** A device or an lcore failed, or a listener threw. */
  error: WireletError;
}

export interface StopOptions {
  /** How long packets that are inside may take to leave; default 2000. */
  drainMs?: number;
}

/**
 * Compiles the programs of `config` and opens its ports.
 *
 * ```ts
 * const ports = { in: 'gen:?count=1000', out: 'sink:' };
 * const appliance = await createAppliance({ ports, forward: { in: 'out' } });
 * appliance.start();
 * await appliance.finished;
 * const stats = await appliance.stop();
 * ```
 * @throws the codes of configs, programs, modules and devices
 */
export async function createAppliance(
  config: WireletConfig,
  options: ApplianceOptions = {},
): Promise<Appliance> {
  const resolved = resolveConfig(config, options);
  const programs = await Promise.all(resolved.programs.map(({ source }) => loadProgram(source)));
  return new Appliance(resolved, programs, options.offline ?? false);
}

type State = 'created' | 'running' | 'stopping' | 'stopped';

export class Appliance {
  readonly config: ResolvedConfig;
  /** Resolves when all finite inputs have ended and nothing is in flight, or after a stop. */
  readonly finished: Promise<void>;
  readonly #native: NativeAppliance;
  readonly #programs: Map<string, LoadedProgram>;
  readonly #names: StatsNames;
  readonly #listeners = new Listeners<ApplianceEvents>();
  #page: StatsPage | undefined;
  #state: State = 'created';
  #startedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #finish: () => void = () => {};
  #stopped: Promise<Stats> | undefined;
  #last: { stats: Stats; counters: Record<string, bigint> } | undefined;

  /** Use {@link createAppliance}, which compiles first. */
  constructor(config: ResolvedConfig, programs: LoadedProgram[], offline: boolean) {
    this.config = config;
    this.#programs = new Map(
      config.programs.flatMap(({ name }, index) => {
        const program = programs[index];
        return program ? [[name, program] as const] : [];
      }),
    );
    this.#native = openNative(config, programs, offline);
    this.#page = new StatsPage(() => this.#native.statsPage());
    this.#names = {
      ports: config.ports.map(({ name }) => name),
      programs: config.programs.map(({ name }) => name),
      xstats: config.ports.map((_, index) => this.#native.xstatNames(index)),
    };
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** Starts the lcores. @throws WIRELET_E_STATE when it was started before */
  start(): void {
    if (this.#state !== 'created') throw new WireletError('WIRELET_E_STATE', 'started twice');
    coded(() => this.#native.start());
    this.#state = 'running';
    this.#startedAt = performance.now();
    this.#timer = setInterval(() => this.#poll(), POLL_MS);
  }

  /** What it has done so far; after a stop, what it did in all. Costs the lcores nothing. */
  stats(): Stats {
    if (this.#last) return this.#last.stats;
    if (!this.#page) throw new WireletError('WIRELET_E_STATE', 'the appliance is closed');
    const elapsedMs = this.#startedAt === 0 ? 0 : performance.now() - this.#startedAt;
    const framesUsed = this.#native.framesUsed();
    return decodeStats(this.#page.read(), this.#names, { elapsedMs, framesUsed });
  }

  /** The programs' own counters, `program/name`, summed over lcores. */
  counters(): Record<string, bigint> {
    if (this.#last) return this.#last.counters;
    const counters = coded(() => this.#native.counters());
    return Object.fromEntries(
      counters.map(({ program, name, value }) => [`${program}/${name}`, value]),
    );
  }

  /** Calls `listener` for each event; what it throws becomes an `error` event. */
  on<Name extends keyof ApplianceEvents>(
    name: Name,
    listener: (event: ApplianceEvents[Name]) => unknown,
  ): this {
    this.#listeners.add(name, listener);
    return this;
  }

  off<Name extends keyof ApplianceEvents>(
    name: Name,
    listener: (event: ApplianceEvents[Name]) => unknown,
  ): this {
    this.#listeners.remove(name, listener);
    return this;
  }

  /** Makes a failure of the host an `error` event; the lcores go on. */
  report(thrown: unknown): void {
    this.#listeners.emit('error', asWireletError(thrown));
  }

  /**
   * Stops receiving, lets what is inside leave, closes the devices; the final stats.
   * @throws what a device could not write; the stats can still be read then
   */
  stop(options: StopOptions = {}): Promise<Stats> {
    this.#stopped ??= this.#stop(options.drainMs ?? DRAIN_DEFAULT_MS);
    return this.#stopped;
  }

  async #stop(drainMs: number): Promise<Stats> {
    try {
      if (this.#state === 'running') await this.#endLcores(drainMs);
    } finally {
      clearInterval(this.#timer);
    }
    this.#takeEvents();
    this.#last = { stats: this.stats(), counters: this.counters() };
    this.#page = undefined;
    this.#state = 'stopped';
    this.#finish();
    coded(() => this.#native.close());
    return this.#last.stats;
  }

  async #endLcores(drainMs: number): Promise<void> {
    this.#state = 'stopping';
    this.#native.requestStop(drainMs);
    await this.#untilStopped(drainMs + STOP_GRACE_MS);
  }

  async #untilStopped(timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!this.#native.stopped()) {
      if (performance.now() > deadline) {
        const seconds = Math.round(timeoutMs / 1000);
        throw new WireletError('WIRELET_E_LCORE_FAILED', `an lcore did not end in ${seconds} s`);
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  #poll(): void {
    this.#takeEvents();
    // Lcores that have all ended by themselves will not finish anything any more.
    if (this.#native.finished() || this.#native.stopped()) this.#finish();
  }

  #takeEvents(): void {
    for (const event of this.#native.events()) this.#emit(event);
  }

  #emit(event: NativeEvent): void {
    const { kind, name, lcore, message, code = '' } = event;
    if (kind === 'fault') {
      this.#listeners.emit('fault', faultOf(event, this.#programs.get(name)));
    } else if (kind === 'log') {
      this.#listeners.emit('log', { program: name, lcore, text: message });
    } else {
      const known = isErrorCode(code) ? code : 'WIRELET_E_INTERNAL';
      const details = { kind, name, lcore };
      this.#listeners.emit('error', new WireletError(known, `${name}: ${message}`, { details }));
    }
  }
}

function openNative(
  config: ResolvedConfig,
  programs: LoadedProgram[],
  offline: boolean,
): NativeAppliance {
  const { Appliance: Native } = native();
  const natives = config.programs.flatMap((program, index) => {
    const loaded = programs[index];
    return loaded ? [nativeProgram(loaded, program)] : [];
  });
  return coded(() => new Native({ ...config, offline, programs: natives }));
}

/** Runs a call of the addon; its errors become coded ones. */
export function coded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    rethrowNative(error);
  }
}
