/**
 * An appliance: lcores that run programs on the packets of ports. This side starts it, asks it how
 * it is doing and stops it; no packet ever waits for this side.
 */

import { Calls } from './calls.js';
import type { FaultFolder, ResolvedConfig, ResolveOptions } from './config/resolve.js';
import { ruleText } from './config/rules.js';
import type { Setting, WireletConfig } from './config/schema.js';
import { deploymentOf, named, programNames, sameProgram, withProgram } from './deployment.js';
import { asWireletError, WireletError } from './error.js';
import { type ApplianceEvents, Events } from './events.js';
import {
  type Applied,
  type GenerationChange,
  Generations,
  type PublishOptions,
} from './generations.js';
import { coded, type NativeAppliance, native } from './native.js';
import type { Deployment, Plan } from './plan.js';
import { type LoadedProgram, loadProgram, nativeProgram } from './program.js';
import { Punts } from './punts.js';
import { refuseDifferent, runShadow, type ShadowOptions, type ShadowReport } from './shadow.js';
import { StatsPage } from './stats/page.js';
import { decodeStats, type Stats } from './stats/stats.js';
import { Tables } from './tables/live.js';
import { programName } from './tenant.js';
import {
  type CompiledTraceOptions,
  compileFilter,
  startTrace,
  type Trace,
  type TraceOptions,
  traceTarget,
} from './trace.js';

/** How often events are taken and the end is looked for; less often when nothing happens. */
const POLL_MS = 20;
const QUIET_POLL_MS = 100;
/** Polls without an event before it is quiet. */
const QUIET_POLLS = 50;
const DRAIN_DEFAULT_MS = 2000;
/** What a stop may take beyond the drain: lcores end at a burst boundary, devices close. */
const STOP_GRACE_MS = 3000;

export interface ApplianceOptions extends ResolveOptions {
  /** Rebuild faulted programs at once and on the lcore, so that offline results repeat. */
  offline?: boolean;
  /** Where packets of faults are saved when the config names no folder; default nowhere. */
  faultDirectory?: string;
}

export interface StopOptions {
  /** How long packets that are inside may take to leave; default 2000. */
  drainMs?: number;
}

export interface ApplyOptions extends ResolveOptions, PublishOptions {
  /** Files that were saved: programs that were built from none of them are not read again. */
  changed?: ReadonlySet<string> | undefined;
}

export interface SwapOptions extends PublishOptions {
  /** Folder or file of the new program; default the one it was loaded from. */
  source?: string;
  /** New settings; default those that it has. */
  settings?: Record<string, Setting>;
  /** Both programs run over the same packets first; a difference refuses the swap. */
  shadow?: ShadowOptions;
}

export interface Swapped {
  change: GenerationChange;
  /** Of the shadow run, where one was asked for. */
  shadow?: ShadowReport;
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
  const { offline = false, faultDirectory, ...sources } = options;
  const { config: resolved, programs } = await deploymentOf(config, sources);
  const loaded = resolved.programs.flatMap(({ name }) => programs.get(name) ?? []);
  return new Appliance(resolved, loaded, offline, { sources, faultDirectory });
}

/** What it was made with, and later calls go by. */
interface Origin {
  sources?: ResolveOptions;
  faultDirectory?: string | undefined;
}

type State = 'created' | 'running' | 'stopping' | 'stopped';

export class Appliance {
  /** Resolves when all finite inputs have ended and nothing is in flight, or after a stop. */
  readonly finished: Promise<void>;
  readonly #native: NativeAppliance;
  readonly #generations: Generations;
  readonly #sources: ResolveOptions;
  readonly #faultDirectory: string | undefined;
  readonly #xstats: string[][];
  readonly #events: Events;
  readonly #punts: Punts;
  readonly #tables: Tables;
  readonly #calls = new Calls();
  #page: StatsPage | undefined;
  #state: State = 'created';
  #startedAt = 0;
  #quietPolls = 0;
  #timer: NodeJS.Timeout | undefined;
  #finish: () => void = () => {};
  #stopped: Promise<Stats> | undefined;
  #last: { stats: Stats; counters: Record<string, bigint> } | undefined;

  /** Use {@link createAppliance}, which compiles first. */
  constructor(
    config: ResolvedConfig,
    programs: LoadedProgram[],
    offline: boolean,
    { sources = {}, faultDirectory }: Origin = {},
  ) {
    this.#sources = sources;
    this.#faultDirectory = faultDirectory;
    this.#native = openNative(config, programs, offline);
    this.#page = new StatsPage(() => this.#native.statsPage());
    this.#xstats = config.ports.map((_, index) => this.#native.xstatNames(index));
    this.#events = new Events(
      () => this.#generations,
      () => this.#faultFolder(),
    );
    this.#punts = new Punts(this.#native, this.#events);
    const track = <T>(call: Promise<T>): Promise<T> => this.#calls.track(call);
    this.#generations = new Generations(named(config, programs), {
      native: this.#native,
      track,
      stats: () => this.stats(),
      takeEvents: () => this.#takeEvents(),
      failed: (error) => this.#events.listeners.emit('error', error),
      changed: (change) => this.#events.listeners.emit(change.kind, change),
    });
    this.#tables = new Tables({
      native: this.#native,
      track,
      typesOf: (program) =>
        this.#generations.running.programs.get(program)?.manifest?.tableTypes ?? [],
    });
    this.finished = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** What runs, programs that were swapped included. */
  get config(): ResolvedConfig {
    return this.#generations.running.config;
  }

  /** Number of what runs; it goes up with every swap and every rollback. */
  get generation(): number {
    return this.#generations.running.generation;
  }

  /** Tables of the programs that run; after a stop, as they were at its end. */
  get tables(): Tables {
    return this.#tables;
  }

  /** Files that the programs which run were built from, or looked for. */
  get programFiles(): string[] {
    return [...this.#generations.running.programs.values()].flatMap(({ files }) => files);
  }

  /** Starts the lcores. @throws WIRELET_E_STATE when it was started before */
  start(): void {
    if (this.#state !== 'created') throw new WireletError('WIRELET_E_STATE', 'started twice');
    coded(() => this.#native.start());
    this.#state = 'running';
    this.#startedAt = performance.now();
    this.#pollLater();
  }

  /** What it has done so far; after a stop, what it did in all. Costs the lcores nothing. */
  stats(): Stats {
    if (this.#last) return this.#last.stats;
    if (!this.#page) throw new WireletError('WIRELET_E_STATE', 'the appliance is closed');
    const elapsedMs = this.#startedAt === 0 ? 0 : performance.now() - this.#startedAt;
    const framesUsed = this.#native.framesUsed();
    const names = {
      ports: this.config.ports.map(({ name }) => name),
      programs: this.#native.programSlots(),
      xstats: this.#xstats,
      rules: this.config.ports.map(({ rules }, index) => {
        return { place: this.#native.rulesPlace(index), texts: rules.map(ruleText) };
      }),
    };
    return decodeStats(this.#page.read(), names, { elapsedMs, framesUsed });
  }

  /** The programs' own counters, `program/name`, summed over lcores. */
  counters(): Record<string, bigint> {
    if (this.#last) return this.#last.counters;
    const counters = coded(() => this.#native.counters());
    return Object.fromEntries(
      counters.map(({ program, name, value }) => [`${program}/${name}`, value]),
    );
  }

  /**
   * What would change if `config` were applied: checked by the engine, nothing is touched.
   * @throws the codes of configs, programs, modules and tables
   */
  async plan(config: WireletConfig, options: ResolveOptions & PublishOptions = {}): Promise<Plan> {
    this.#mustRun();
    return this.#generations.plan(await this.#deployment(config, options), options);
  }

  /**
   * Makes `config` what runs, without losing a packet; programs that are equal are not touched.
   * @throws WIRELET_E_RESTART_NEEDED, the codes of configs, programs, modules and tables
   */
  async apply(config: WireletConfig, options: ApplyOptions = {}): Promise<Applied> {
    this.#mustRun();
    const { changed, ...given } = options;
    const desired = await this.#deployment(config, given, changed);
    return this.#generations.apply(desired, given);
  }

  /**
   * Puts another version in the place of `program` while packets flow.
   *
   * ```ts
   * const { change } = await appliance.swap('guard', { source: 'programs/guard-2' });
   * console.log(change.from, change.to, change.loss?.packets);
   * ```
   * @throws WIRELET_E_SHADOW_DIFFERS, WIRELET_E_TABLE_SCHEMA, the codes of programs and modules
   */
  async swap(program: string, options: SwapOptions = {}): Promise<Swapped> {
    this.#mustRun();
    const name = programName(program, programNames(this.config));
    const given = this.config.programs.find((each) => each.name === name);
    const loaded = await loadProgram(options.source ?? given?.source ?? '');
    const { settings, shadow } = options;
    // Before its turn in the queue: a rollback must not wait for a shadow run.
    const seen = this.#generations.running;
    const report = shadow && (await this.#shadow(name, loaded, settings, shadow));
    const change = await this.#generations.replace(
      [name],
      (running) => {
        if (shadow && !sameProgram(name, seen, running)) {
          throw new WireletError('WIRELET_E_STATE', `${name} was changed during its shadow run`, {
            hint: 'What was compared is not what runs any more: swap again.',
          });
        }
        return withProgram(running, name, loaded, settings);
      },
      options,
    );
    return report ? { change, shadow: report } : { change };
  }

  /**
   * Brings the programs of the generation before back, with the state as it is now.
   * @throws WIRELET_E_ROLLBACK
   */
  async rollback(): Promise<GenerationChange> {
    this.#mustRun();
    return this.#generations.rollback();
  }

  /**
   * Packets of a port or a program, with what becomes of them. They go their way meanwhile.
   *
   * ```ts
   * const trace = await appliance.trace('wan', { filter: 'udp port 53', count: 10 });
   * for await (const { note, packet } of trace) console.log(note, packet.length);
   * ```
   * @throws WIRELET_E_TRACE, WIRELET_E_FILTER, WIRELET_E_LIBPCAP
   */
  async trace(target: string, { filter, ...options }: TraceOptions = {}): Promise<Trace> {
    const compiled = filter === undefined ? {} : { filter: await compileFilter(filter) };
    return this.traceCompiled(target, { ...options, ...compiled });
  }

  /** As {@link trace}, with a filter that libpcap has read already, maybe elsewhere. */
  async traceCompiled(target: string, options: CompiledTraceOptions): Promise<Trace> {
    this.#mustRun();
    const ports = this.config.ports.map(({ name }) => name);
    const found = traceTarget(target, { ports, programs: programNames(this.config) });
    return this.#calls.track(startTrace(this.#native, found, ports, options));
  }

  async #shadow(
    name: string,
    loaded: LoadedProgram,
    settings: Record<string, Setting> | undefined,
    options: ShadowOptions,
  ): Promise<ShadowReport> {
    const { config } = withProgram(this.#generations.running, name, loaded, settings);
    const ports = config.ports.map((port) => port.name);
    const candidates = config.programs.filter((program) => program.name === name);
    const [candidate] = candidates.map((program) => nativeProgram(loaded, program));
    if (!candidate) throw new WireletError('WIRELET_E_INTERNAL', `${name} is not there`);
    const report = await this.#calls.track(runShadow(this.#native, candidate, ports, options));
    refuseDifferent(report, options.maxDifferences);
    return report;
  }

  #faultFolder(): FaultFolder {
    const { directory = this.#faultDirectory, filesMax } = this.config.faults;
    return { directory, filesMax };
  }

  /** Flags, environment and folder are those of the start where nothing else is said. */
  #deployment(
    config: WireletConfig,
    options: ResolveOptions,
    changed?: ReadonlySet<string>,
  ): Promise<Deployment> {
    const { running } = this.#generations;
    const old = new Map(running.config.programs.map((program) => [program.name, program.source]));
    return deploymentOf(config, { ...this.#sources, ...options }, ({ name, source }) => {
      const program = running.programs.get(name);
      const isKept = changed && program && old.get(name) === source;
      return isKept && !program.files.some((file) => changed.has(file)) ? program : undefined;
    });
  }

  #mustRun(): void {
    if (this.#state === 'running') return;
    throw new WireletError('WIRELET_E_STATE', `the appliance is ${this.#state}, not running`);
  }

  /**
   * Calls `listener` for each event; what it throws becomes an `error` event. While `punt` has a
   * listener, packets that programs punt come here, of ports that the config gives no other to punt
   * to; those that come faster than listeners take them are dropped, with `punt_full`.
   *
   * ```ts
   * appliance.on('punt', ({ port, packet }) => console.log(port, packet.length));
   * ```
   */
  on<Name extends keyof ApplianceEvents>(
    name: Name,
    listener: (event: ApplianceEvents[Name]) => unknown,
  ): this {
    this.#events.listeners.add(name, listener);
    if (name === 'punt') this.#punts.listen();
    return this;
  }

  off<Name extends keyof ApplianceEvents>(
    name: Name,
    listener: (event: ApplianceEvents[Name]) => unknown,
  ): this {
    this.#events.listeners.remove(name, listener);
    if (name === 'punt') this.#punts.listen();
    return this;
  }

  /** Makes a failure of the host an `error` event; the lcores go on. */
  report(thrown: unknown): void {
    this.#events.listeners.emit('error', asWireletError(thrown));
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
      // Swaps and shadow runs end with an error when the lcores have.
      await Promise.race([this.#calls.idle(), grace(STOP_GRACE_MS)]);
    } finally {
      clearTimeout(this.#timer);
    }
    this.#takeEvents();
    this.#punts.take();
    this.#last = { stats: this.stats(), counters: this.counters() };
    this.#page = undefined;
    this.#state = 'stopped';
    this.#punts.end();
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
      await delay(1);
    }
  }

  #pollLater(): void {
    const isQuiet = this.#quietPolls >= QUIET_POLLS && !this.#events.listeners.has('punt');
    const ms = isQuiet ? QUIET_POLL_MS : POLL_MS;
    this.#timer = setTimeout(() => {
      this.#poll();
      this.#pollLater();
    }, ms);
  }

  #poll(): void {
    this.#takeEvents();
    this.#punts.take();
    // Lcores that have all ended by themselves will not finish anything any more.
    if (this.#native.finished() || this.#native.stopped()) this.#finish();
  }

  #takeEvents(): void {
    const events = this.#native.events();
    this.#quietPolls = events.length > 0 ? 0 : this.#quietPolls + 1;
    for (const event of events) this.#events.take(event);
  }
}

/** As {@link delay}; the process may end before. */
function grace(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
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
  const { stateDirectory, eal, ...spec } = config;
  const kept = stateDirectory === '' ? {} : { stateDirectory };
  const dpdk = eal === undefined ? {} : { eal };
  return coded(() => new Native({ ...spec, ...kept, ...dpdk, offline, programs: natives }));
}
