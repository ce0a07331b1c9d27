/**
 * The generations of a running appliance: compares, publishes, goes back, and remembers which
 * module each of the last ones ran, so that a fault is placed in the right source.
 *
 * Calls wait for each other. The engine may go back by itself at any time; its event says so, and
 * while a call is under way such events are held until it is known what the call has done.
 */
import { asWireletError, WireletError } from './error.js';
import {
  type NativeAppliance,
  type NativeEvent,
  type NativeGenerationSpec,
  type NativeSwap,
  type NativeTableChange,
  rethrowNative,
} from './native.js';
import {
  type Action,
  alignPorts,
  type Deployment,
  keptPrograms,
  needsGeneration,
  type Plan,
  planActions,
} from './plan.js';
import { type LoadedProgram, nativeProgram } from './program.js';
import { lossBetween, type PacketLoss } from './stats/loss.js';
import type { Stats } from './stats/stats.js';

/** Modules of this many generations are kept for faults that are reported late. */
const GENERATIONS_KEPT = 16;
/** How long counters of all lcores may take to show a generation that they have adopted. */
const COUNTERS_MS_MAX = 200;
const COUNTERS_POLL_MS = 2;

/** Milliseconds that each step took. */
export interface SwapTimes {
  /** TypeScript to Wasm, checks included; nearly nothing out of the cache. */
  build: number;
  /** Of that the AssemblyScript compiler. */
  compiler: number;
  /** Wasm to machine code. */
  compile: number;
  /** Instances with onLoad and windows. */
  instantiate: number;
  /** Tables that grew or were extended. */
  copy: number;
  /** From the publication until every lcore had taken over. */
  adopt: number;
  /** From the engine's first step to the last, and the host's way there and back. */
  total: number;
}

/** A generation was published, or the one before came back. */
export interface GenerationChange {
  kind: 'swap' | 'rollback';
  from: number;
  to: number;
  /** Programs that are not what they were. */
  programs: string[];
  /** The engine went back by itself: a changed program faulted too often. */
  automatic: boolean;
  /** Why, when it was automatic, or an lcore has not taken it over in time. */
  reason: string;
  /** Milliseconds since 1970. */
  at: number;
  /** What became of tables; none is known of an automatic one. */
  tables: NativeTableChange[];
  timesMs?: SwapTimes;
  loss?: PacketLoss;
}

export interface PublishOptions {
  /** Tables whose shape differs begin empty instead of refusing. */
  resetState?: boolean;
}

/** What `apply` did. */
export interface Applied {
  plan: Plan;
  /** The generation that was published; null where nothing had to be. */
  change: GenerationChange | null;
}

/** What of the appliance is needed. */
export interface Surroundings {
  native: NativeAppliance;
  /** Remembers a call of the engine until it has ended. */
  track<T>(call: Promise<T>): Promise<T>;
  stats(): Stats;
  /** Gives `onEvent` what the engine has to say until now. */
  takeEvents(): void;
  changed(change: GenerationChange): void;
  failed(error: WireletError): void;
}

interface Known extends Deployment {
  generation: number;
  /** Programs that were not those of the generation before. */
  changed: readonly string[];
}

export class Generations {
  readonly #around: Surroundings;
  readonly #known: Known[];
  #previous: Deployment | undefined;
  #pending: Deployment | undefined;
  #held: NativeEvent[] = [];
  /** Changes after one that is not announced yet, because its counters are still on their way. */
  #waiting: GenerationChange[] | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(first: Deployment, around: Surroundings) {
    this.#around = around;
    this.#known = [{ ...first, generation: around.native.generation(), changed: [] }];
  }

  /** What runs. */
  get running(): Known {
    const last = this.#known.at(-1);
    if (last === undefined) throw new Error('there is always a generation');
    return last;
  }

  /** The module that `program` was in a generation; the nearest older one that is known. */
  programOf(program: string, generation: number): LoadedProgram | undefined {
    const newest = this.running.generation;
    if (this.#pending && generation > newest) return this.#pending.programs.get(program);
    const known = this.#known.findLast((each) => each.generation <= generation);
    return (known ?? this.#known[0])?.programs.get(program);
  }

  /** Runs `work` when the calls before it are done. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  /** What would lead to `desired`; asks the engine about modules and tables, touches nothing. */
  plan(desired: Deployment, options: PublishOptions = {}): Promise<Plan> {
    return this.exclusive(() => this.#plan(desired, options));
  }

  /** Makes `desired` what runs. @throws WIRELET_E_RESTART_NEEDED, codes of modules and tables */
  apply(desired: Deployment, options: PublishOptions = {}): Promise<Applied> {
    return this.exclusive(async () => {
      const { generation } = this.running;
      const actions = planActions(this.running, desired);
      refuseRestart(actions);
      const next = aligned(desired, this.running);
      const publishes = needsGeneration(actions);
      const plan = { generation, actions, publishes, restart: false };
      if (publishes) {
        return { plan, change: await this.#publish(next, keptPrograms(actions), options) };
      }
      this.#record({ ...next, generation, changed: this.running.changed });
      return { plan, change: null };
    });
  }

  /** Publishes what `change` makes of what runs; of its programs only `names` are new. */
  replace(
    names: readonly string[],
    change: (running: Deployment) => Deployment,
    options: PublishOptions = {},
  ): Promise<GenerationChange> {
    return this.exclusive(async () => {
      const next = change(this.running);
      const kept = namesOf(next).filter((name) => !names.includes(name));
      return this.#publish(next, new Set(kept), options);
    });
  }

  /** Brings the programs of the generation before back. @throws WIRELET_E_ROLLBACK */
  rollback(): Promise<GenerationChange> {
    return this.exclusive(() => {
      const back = this.#previous ?? this.running;
      const { native } = this.#around;
      // None is kept: those that the last change left alone are in `back` as they are.
      return this.#perform('rollback', { build: 0, compiler: 0 }, back, new Set(), () =>
        native.rollback(),
      );
    });
  }

  /** An event of kind `swap` or `rollback`. */
  onEvent(event: NativeEvent): void {
    if (this.#pending) this.#held.push(event);
    else this.#believe(event);
  }

  async #plan(desired: Deployment, options: PublishOptions): Promise<Plan> {
    const { generation } = this.running;
    const actions = planActions(this.running, desired);
    const restart = actions.some(({ kind }) => kind === 'restart');
    const publishes = !restart && needsGeneration(actions);
    if (!publishes) return { generation, actions, publishes, restart };
    const spec = specOf(aligned(desired, this.running), keptPrograms(actions), options);
    const { native, track } = this.#around;
    const { tables } = await track(native.swap({ ...spec, dryRun: true })).catch(rethrowNative);
    const rows = tables.map((table): Action => ({ kind: 'table', ...table }));
    return { generation, actions: [...actions, ...rows], publishes, restart };
  }

  #publish(
    next: Deployment,
    kept: ReadonlySet<string>,
    options: PublishOptions,
  ): Promise<GenerationChange> {
    const spec = specOf(next, kept, options);
    const changed = next.config.programs.filter(({ name }) => !kept.has(name));
    const { programs: old } = this.running;
    const built = changed.flatMap(({ name }) => {
      const program = next.programs.get(name);
      // With new settings only, nothing was built.
      return program && program !== old.get(name) ? [program] : [];
    });
    const times = {
      build: Math.max(0, ...built.map(({ durationMs }) => durationMs)),
      compiler: Math.max(0, ...built.map(({ compilerMs }) => compilerMs)),
    };
    const { native } = this.#around;
    return this.#perform('swap', times, next, kept, () => native.swap(spec));
  }

  /** One call of the engine that ends in a new generation; afterwards what runs is known. */
  async #perform(
    kind: GenerationChange['kind'],
    built: Pick<SwapTimes, 'build' | 'compiler'>,
    next: Deployment,
    kept: ReadonlySet<string>,
    call: () => Promise<NativeSwap>,
  ): Promise<GenerationChange> {
    const from = this.running.generation;
    const before = this.#around.stats();
    const begin = performance.now();
    const change = { kind, from, automatic: false, reason: '', tables: [] };
    this.#pending = next;
    let done: NativeSwap;
    try {
      done = await this.#around.track(call()).catch(rethrowNative);
    } catch (thrown) {
      const error = asWireletError(thrown);
      this.#settle(this.#published(error), next, kept);
      const { generation: to, changed } = this.running;
      const late = { ...change, to, programs: [...changed], reason: error.message, at: Date.now() };
      this.#announceFirst(this.#published(error) === to ? late : undefined);
      throw thrown;
    }
    const total = performance.now() - begin;
    this.#settle(done.generation, next, kept);
    const { changed } = this.running;
    let finished: GenerationChange | undefined;
    try {
      finished = {
        ...change,
        to: done.generation,
        programs: [...changed],
        at: Date.now(),
        tables: done.tables,
        timesMs: { ...timesOf(done), ...built, total },
        loss: lossBetween(before, await this.#countersOf(done.generation)),
      };
      return finished;
    } finally {
      this.#announceFirst(finished);
    }
  }

  #announce(change: GenerationChange): void {
    if (this.#waiting) this.#waiting.push(change);
    else this.#around.changed(change);
  }

  /** Announces what a call has done, then what happened until it could be announced. */
  #announceFirst(change: GenerationChange | undefined): void {
    const later = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const each of change ? [change, ...later] : later) this.#around.changed(each);
  }

  /** A swap that timed out is published all the same, and an lcore will come around. */
  #published({ code }: WireletError): number | undefined {
    const generation = this.#around.native.generation();
    return code === 'WIRELET_E_SWAP_TIMEOUT' ? generation : undefined;
  }

  /** Records what a call has done, between the events before and after it. */
  #settle(generation: number | undefined, next: Deployment, kept: ReadonlySet<string>): void {
    this.#around.takeEvents();
    const held = this.#held;
    this.#held = [];
    this.#pending = undefined;
    const isBefore = (event: NativeEvent) => event.generation < (generation ?? 0);
    for (const event of held.filter(isBefore)) this.#believe(event);
    this.#waiting = [];
    if (generation !== undefined && generation > this.running.generation) {
      const gone = namesOf(this.running).filter((name) => !namesOf(next).includes(name));
      const fresh = namesOf(next).filter((name) => !kept.has(name));
      const changed = next === this.#previous ? this.running.changed : [...fresh, ...gone];
      this.#advance(generation, withKept(next, kept, this.running), changed);
    }
    for (const event of held) this.#believe(event);
  }

  /** Takes over what the engine did by itself; what is known already says nothing new. */
  #believe(event: NativeEvent): void {
    const { generation, kind, name, message } = event;
    const old = this.running;
    if (kind === 'rollback' && generation === 0) this.#around.failed(stuck(event));
    if (generation <= old.generation || kind !== 'rollback') return;
    this.#advance(generation, this.#previous ?? old, old.changed);
    this.#announce({
      kind,
      from: old.generation,
      to: generation,
      programs: [...old.changed],
      automatic: true,
      reason: name === '' ? message : `${name}: ${message}`,
      at: Date.now(),
      tables: [],
    });
  }

  #advance(generation: number, { config, programs }: Deployment, changed: readonly string[]): void {
    this.#previous = this.running;
    this.#record({ config, programs, generation, changed });
  }

  #record(known: Known): void {
    if (known.generation === this.running.generation) this.#known.pop();
    this.#known.push(known);
    if (this.#known.length > GENERATIONS_KEPT) this.#known.shift();
  }

  /** Stats in which every lcore shows `generation`, or the last ones when that takes too long. */
  async #countersOf(generation: number): Promise<Stats> {
    const deadline = performance.now() + COUNTERS_MS_MAX;
    for (;;) {
      const stats = this.#around.stats();
      const shown = stats.lcores.every((lcore) => lcore.generation >= generation);
      if (shown || performance.now() > deadline) return stats;
      await new Promise((resolve) => setTimeout(resolve, COUNTERS_POLL_MS));
    }
  }
}

/** The engine wanted to go back and could not. */
function stuck({ name, message }: NativeEvent): WireletError {
  const text = `${name}: ${message}, and the generation before could not be brought back`;
  return new WireletError('WIRELET_E_ROLLBACK', text, {
    hint: 'Swap the program for one that works.',
  });
}

function refuseRestart(actions: readonly Action[]): void {
  const fixed = actions.filter((action) => action.kind === 'restart');
  if (fixed.length === 0) return;
  const texts = fixed.map(({ what, from, to }) => `${what}: ${from} → ${to}`);
  throw new WireletError('WIRELET_E_RESTART_NEEDED', texts.join('\n'), { details: { fixed } });
}

function aligned(desired: Deployment, running: Deployment): Deployment {
  return { ...desired, config: alignPorts(desired.config, running.config) };
}

/** `next`, whose kept programs are those that run now. */
function withKept(next: Deployment, kept: ReadonlySet<string>, running: Deployment): Deployment {
  const programs = new Map(next.programs);
  for (const name of kept) {
    const program = running.programs.get(name);
    if (program) programs.set(name, program);
  }
  const old = new Map(running.config.programs.map((program) => [program.name, program]));
  const configs = next.config.programs.map((program) =>
    kept.has(program.name) ? (old.get(program.name) ?? program) : program,
  );
  return { programs, config: { ...next.config, programs: configs } };
}

function namesOf({ config }: Deployment): string[] {
  return config.programs.map(({ name }) => name);
}

function timesOf(swap: NativeSwap): Omit<SwapTimes, 'build' | 'compiler' | 'total'> {
  const { compileMs, instantiateMs, copyMs, adoptMs } = swap;
  return { compile: compileMs, instantiate: instantiateMs, copy: copyMs, adopt: adoptMs };
}

/** What the engine is told. */
function specOf(
  { config, programs }: Deployment,
  kept: ReadonlySet<string>,
  { resetState = false }: PublishOptions,
): NativeGenerationSpec {
  return {
    programs: config.programs.map((program) => {
      const loaded = programs.get(program.name);
      if (loaded === undefined) {
        throw new WireletError('WIRELET_E_INTERNAL', `${program.name} was not compiled`);
      }
      return { program: nativeProgram(loaded, program), keep: kept.has(program.name) };
    }),
    ports: config.ports.map(({ forward, punt, pipeline, rules }) => {
      return { forward, punt, pipeline, rules };
    }),
    resetState,
    dryRun: false,
    rollbackFaults: config.rollback.faults,
    rollbackMs: config.rollback.windowMs,
  };
}
