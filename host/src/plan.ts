/**
 * What differs between what runs and what is wanted, as a list of actions. Nothing is touched here;
 * `Generations` asks the engine about the rest and makes the list true.
 */
import { createHash } from 'node:crypto';
import type { ResolvedConfig, ResolvedProgram } from './config/resolve.js';
import { ruleText } from './config/rules.js';
import type { NativeTableChange } from './native.js';
import { affinityOf, type LoadedProgram } from './program.js';

/** A config, and the modules of its programs by name. */
export interface Deployment {
  config: ResolvedConfig;
  programs: ReadonlyMap<string, LoadedProgram>;
}

/** What `plan` found: nothing was touched. */
export interface Plan {
  /** That it starts from. */
  generation: number;
  actions: Action[];
  /** Whether `apply` would publish a new generation. */
  publishes: boolean;
  /** Whether `apply` would refuse: something is fixed while the appliance runs. */
  restart: boolean;
}

/** One thing that is different. */
export interface Change {
  /** `module`, `settings.limit`, `deadlineMs`, `onFault`, `redirectTo`, `affinity`. */
  what: string;
  from: string;
  to: string;
}

export type Action =
  | { kind: 'add' | 'remove' | 'keep'; program: string }
  | { kind: 'replace'; program: string; changes: Change[] }
  | ({ kind: 'port'; port: string } & Change)
  /** Takes effect at once, and no generation is needed for it. */
  | ({ kind: 'option' } & Change)
  | ({ kind: 'table' } & Pick<NativeTableChange, 'program' | 'table' | 'action'>)
  /** Can't be done while it runs. */
  | ({ kind: 'restart' } & Change);

const NS_PER_MS = 1e6;
/** Enough of a digest to tell two modules apart, and to be read. */
const DIGEST_SHOWN = 12;
/** Of a value that is shown. */
const TEXT_MAX = 60;

/**
 * The actions that lead from `running` to `desired`, programs in the order of `desired`.
 *
 * ```ts
 * planActions(running, desired).filter(({ kind }) => kind !== 'keep');
 * ```
 */
export function planActions(running: Deployment, desired: Deployment): Action[] {
  const restarts = fixedChanges(running.config, desired.config).map((change) => {
    return { kind: 'restart' as const, ...change };
  });
  const options = optionChanges(running.config, desired.config).map((change) => {
    return { kind: 'option' as const, ...change };
  });
  return [
    ...restarts,
    ...programActions(running, desired),
    ...portActions(running.config, desired.config),
    ...options,
  ];
}

/** Whether `actions` need a new generation. */
export function needsGeneration(actions: readonly Action[]): boolean {
  return actions.some(({ kind }) => ['add', 'remove', 'replace', 'port'].includes(kind));
}

/** Names of programs that `actions` leave as they are. */
export function keptPrograms(actions: readonly Action[]): Set<string> {
  return new Set(actions.flatMap((each) => (each.kind === 'keep' ? [each.program] : [])));
}

/**
 * `config` with its ports in the order of `running`, which is the order that the engine knows; the
 * same ports are in both.
 */
export function alignPorts(config: ResolvedConfig, running: ResolvedConfig): ResolvedConfig {
  const order = running.ports.map(({ name }) => name);
  const moved = config.ports.map(({ name }) => order.indexOf(name));
  const at = (index: number) => moved[index] ?? -1;
  const byName = new Map(config.ports.map((port) => [port.name, port]));
  return {
    ...config,
    ports: order.flatMap((name) => {
      const port = byName.get(name);
      return port ? [{ ...port, forward: at(port.forward), punt: at(port.punt) }] : [];
    }),
    programs: config.programs.map((program) =>
      program.redirectTo === undefined
        ? program
        : { ...program, redirectTo: program.redirectTo.map(at) },
    ),
  };
}

/** What devices, lcores and memory are made of: fixed at the start. */
function fixedChanges(running: ResolvedConfig, desired: ResolvedConfig): Change[] {
  const keys = ['lcores', 'burst', 'idle', 'frames', 'frameBytes', 'hugepages'] as const;
  const plain = keys.map((key) => changeOf(key, running[key], desired[key]));
  const kept = changeOf('state.directory', running.stateDirectory, desired.stateDirectory);
  const socket = changeOf('control.socket', running.socket, desired.socket);
  const eal = changeOf('dpdk.eal', running.eal, desired.eal);
  return [...plain, ...portShapes(running, desired), kept, socket, eal].flat();
}

function portShapes(running: ResolvedConfig, desired: ResolvedConfig): Change[] {
  const shapes = ({ ports }: ResolvedConfig) =>
    new Map(ports.map(({ name, device, queues, offload }) => [name, { device, queues, offload }]));
  const [old, wanted] = [shapes(running), shapes(desired)];
  const names = new Set([...old.keys(), ...wanted.keys()]);
  return [...names].flatMap((name) => {
    const [before, after] = [old.get(name), wanted.get(name)];
    if (before === undefined || after === undefined) {
      return changeOf(`ports.${name}`, before?.device, after?.device);
    }
    return [
      ...changeOf(`ports.${name}.device`, before.device, after.device),
      ...changeOf(`ports.${name}.queues`, before.queues, after.queues),
      ...changeOf(`ports.${name}.offload`, before.offload, after.offload),
    ];
  });
}

function optionChanges(running: ResolvedConfig, desired: ResolvedConfig): Change[] {
  return [
    ...changeOf('rollback.faults', running.rollback.faults, desired.rollback.faults),
    ...changeOf('rollback.windowMs', running.rollback.windowMs, desired.rollback.windowMs),
    ...changeOf('faults.directory', running.faults.directory, desired.faults.directory),
    ...changeOf('faults.filesMax', running.faults.filesMax, desired.faults.filesMax),
  ];
}

function programActions(running: Deployment, desired: Deployment): Action[] {
  const old = new Map(running.config.programs.map((program) => [program.name, program]));
  const wanted = new Set(desired.config.programs.map(({ name }) => name));
  const actions = desired.config.programs.map((program): Action => {
    const { name } = program;
    const before = old.get(name);
    if (before === undefined) return { kind: 'add', program: name };
    const changes = programChanges(name, before, program, running, desired);
    if (changes.length === 0) return { kind: 'keep', program: name };
    return { kind: 'replace', program: name, changes };
  });
  const gone = [...old.keys()].filter((name) => !wanted.has(name));
  return [...actions, ...gone.map((program) => ({ kind: 'remove' as const, program }))];
}

function programChanges(
  name: string,
  before: ResolvedProgram,
  after: ResolvedProgram,
  running: Deployment,
  desired: Deployment,
): Change[] {
  return [
    ...moduleChange(running.programs.get(name), desired.programs.get(name)),
    ...settingChanges(before.settings, after.settings),
    ...changeOf('deadlineMs', before.deadlineNs / NS_PER_MS, after.deadlineNs / NS_PER_MS),
    ...changeOf('onFault', before.onFault, after.onFault),
    ...changeOf(
      'redirectTo',
      portNames(running.config, before.redirectTo),
      portNames(desired.config, after.redirectTo),
    ),
    ...changeOf(
      'affinity',
      affinityOf(running.programs.get(name), before),
      affinityOf(desired.programs.get(name), after),
    ),
  ];
}

/** The bytes decide: the same source by another compiler is another program. */
function moduleChange(before?: LoadedProgram, after?: LoadedProgram): Change[] {
  if (before && after && Buffer.compare(before.wasm, after.wasm) === 0) return [];
  return [{ what: 'module', from: moduleDigest(before), to: moduleDigest(after) }];
}

function moduleDigest(program: LoadedProgram | undefined): string {
  if (program === undefined) return 'none';
  return createHash('sha256').update(program.wasm).digest('hex').slice(0, DIGEST_SHOWN);
}

function settingChanges(
  before: ResolvedProgram['settings'],
  after: ResolvedProgram['settings'],
): Change[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => changeOf(`settings.${key}`, before[key], after[key]));
}

/** Pipelines and pairs of ports, by name: an index means something else in each config. */
function portActions(running: ResolvedConfig, desired: ResolvedConfig): Action[] {
  const old = new Map(running.ports.map((port) => [port.name, port]));
  return desired.ports.flatMap((port) => {
    const before = old.get(port.name);
    if (before === undefined) return [];
    const changes = [
      ...changeOf('pipeline', pipelineNames(running, before), pipelineNames(desired, port)),
      ...changeOf('forward', portName(running, before.forward), portName(desired, port.forward)),
      ...changeOf('punt', portName(running, before.punt), portName(desired, port.punt)),
      ...changeOf('rules', before.rules.map(ruleText), port.rules.map(ruleText)),
    ];
    return changes.map((change): Action => ({ kind: 'port', port: port.name, ...change }));
  });
}

function pipelineNames(config: ResolvedConfig, port: ResolvedConfig['ports'][number]): string[] {
  return port.pipeline.map((index) => config.programs[index]?.name ?? '');
}

function portName(config: ResolvedConfig, index: number): string | undefined {
  return config.ports[index]?.name;
}

function portNames(config: ResolvedConfig, indexes: number[] | undefined): string[] | undefined {
  // A set: their order means nothing.
  return indexes?.map((index) => portName(config, index) ?? '').toSorted();
}

/** The change of `what`, or none. */
function changeOf(what: string, from: unknown, to: unknown): Change[] {
  const [before, after] = [JSON.stringify(from), JSON.stringify(to)];
  if (before === after) return [];
  return [{ what, from: shown(before), to: shown(after) }];
}

function shown(json: string | undefined): string {
  if (json === undefined) return 'none';
  return json.length <= TEXT_MAX ? json : `${json.slice(0, TEXT_MAX)}...`;
}
