/** From what a config says to what the engine is told: defaults, precedence, names to numbers. */
import { basename, resolve } from 'node:path';
import {
  DEADLINE_DEFAULT_NS,
  FRAME_BYTES_DEFAULT,
  FRAMES_DEFAULT,
  PORTS_MAX,
  PROGRAMS_MAX,
} from '../abi.js';
import { resolveDevice } from '../device.js';
import { WireletError } from '../error.js';
import type { Affinity, NativePort } from '../native.js';
import { didYouMean } from '../suggest.js';
import { checkConfig } from './check.js';
import { type Finding, findingsError } from './issues.js';
import { type Overrides, readEnvironment } from './overrides.js';
import { resolveRules } from './rules.js';
import {
  FAULT_FILES_DEFAULT,
  type ProgramConfig,
  ROLLBACK_FAULTS_DEFAULT,
  ROLLBACK_MS_DEFAULT,
  type Setting,
  type WireletConfig,
} from './schema.js';

const BURST_DEFAULT = 64;
const NS_PER_MS = 1_000_000;
/**
 * Memory that is a file: what lies here outlives a process, not a restart of the machine. A folder
 * of its own for each name, since users share /dev/shm.
 */
const STATE_ROOT = '/dev/shm/wirelet-';

/** A program as the config asks for it, not compiled yet. */
export interface ResolvedProgram {
  name: string;
  /** Absolute path. */
  source: string;
  settings: Record<string, Setting>;
  deadlineNs: number;
  onFault: 'drop' | 'pass' | 'previous';
  /** Indexes of ports; undefined: all. */
  redirectTo?: number[];
  /** Undefined: what its manifest says. */
  affinity?: Affinity;
}

/** A config with nothing left to look up. */
export interface ResolvedConfig {
  /** Name of the config's folder: what the socket and kept state are called after. */
  name: string;
  /** CPU of each lcore; -1 for one that the kernel places. */
  lcores: number[];
  burst: number;
  idle: 'adaptive' | 'poll';
  frames: number;
  frameBytes: number;
  hugepages: boolean;
  ports: NativePort[];
  programs: ResolvedProgram[];
  /** Folder that tables are kept in over restarts; '' for none. */
  stateDirectory: string;
  rollback: Rollback;
  /** Socket that the config names; false for none at all, undefined for the default. */
  socket: string | false | undefined;
  faults: FaultFolder;
  /** Arguments of DPDK's environment; undefined: the defaults. */
  eal: string[] | undefined;
}

/** When a swap is taken back by itself. */
export interface Rollback {
  /** Faults of a changed program; 0: never. */
  faults: number;
  windowMs: number;
}

/** Where packets of faults are saved. */
export interface FaultFolder {
  /** Undefined: beside the socket. */
  directory: string | undefined;
  filesMax: number;
}

export interface ResolveOptions {
  /** What relative paths are relative to; default the working directory. */
  directory?: string;
  /** Named in errors. */
  file?: string;
  /** Command line: stronger than the environment and the file. */
  flags?: Overrides;
  /** Environment: stronger than the file; default `process.env`. */
  env?: Readonly<Record<string, string | undefined>>;
}

/** @throws the codes of configs */
export function resolveConfig(value: unknown, options: ResolveOptions = {}): ResolvedConfig {
  const config = checkConfig(value, options.file);
  const chosen = checkConfig(
    { ...config, ...readEnvironment(options.env ?? process.env), ...options.flags },
    options.file,
  );
  const names = new Names(chosen);
  const directory = resolve(options.directory ?? '.');
  const resolved = {
    name: nameOf(directory),
    lcores: resolveLcores(chosen.lcores, names.findings),
    burst: chosen.burst ?? BURST_DEFAULT,
    idle: chosen.idle ?? 'adaptive',
    frames: chosen.frames ?? FRAMES_DEFAULT,
    frameBytes: chosen.frameBytes ?? FRAME_BYTES_DEFAULT,
    hugepages: chosen.hugepages ?? true,
    ports: resolvePorts(chosen, names, directory),
    programs: Object.entries(chosen.programs ?? {}).map(([name, program]) =>
      resolveProgram(name, program, names, directory),
    ),
    ...resolveOutside(chosen, directory),
  } satisfies ResolvedConfig;
  if (names.findings.length > 0) throw findingsError(names.findings, options.file);
  return resolved;
}

/** What sockets and folders of the appliance of `directory` are called. */
export function nameOf(directory: string): string {
  return basename(directory) || 'wirelet';
}

/** Paths and numbers of what is outside of the packets' way. */
function resolveOutside(config: WireletConfig, directory: string) {
  const { state = {}, rollback = {}, control = {}, faults = {} } = config;
  const kept = state.directory ?? `${STATE_ROOT}${nameOf(directory)}`;
  const { socket } = control;
  return {
    stateDirectory: state.persist === true ? resolve(directory, kept) : '',
    rollback: {
      faults: rollback.faults ?? ROLLBACK_FAULTS_DEFAULT,
      windowMs: rollback.windowMs ?? ROLLBACK_MS_DEFAULT,
    },
    socket: typeof socket === 'string' ? resolve(directory, socket) : socket,
    faults: {
      directory: faults.directory === undefined ? undefined : resolve(directory, faults.directory),
      filesMax: faults.filesMax ?? FAULT_FILES_DEFAULT,
    },
    eal: config.dpdk?.eal,
  };
}

/** Names of ports and programs to indexes; what does not exist is collected, not thrown. */
class Names {
  readonly findings: Finding[] = [];
  readonly #ports: string[];
  readonly #programs: string[];

  constructor(config: WireletConfig) {
    this.#ports = Object.keys(config.ports);
    this.#programs = Object.keys(config.programs ?? {});
    this.#limit('ports', this.#ports.length, PORTS_MAX);
    this.#limit('programs', this.#programs.length, PROGRAMS_MAX);
    if (this.#ports.length === 0) {
      this.findings.push({
        code: 'WIRELET_E_CONFIG_INVALID',
        path: 'ports',
        message: 'there must be at least one',
      });
    }
  }

  port(name: string, path: string): number {
    const index = this.#ports.indexOf(name);
    if (index < 0) this.#unknown('WIRELET_E_CONFIG_UNKNOWN_PORT', 'port', name, path, this.#ports);
    return index;
  }

  program(name: string, path: string): number {
    const index = this.#programs.indexOf(name);
    const code = 'WIRELET_E_CONFIG_UNKNOWN_PROGRAM';
    if (index < 0) this.#unknown(code, 'program', name, path, this.#programs);
    return index;
  }

  /** Every program, in the order of the config. */
  get allPrograms(): string[] {
    return this.#programs;
  }

  #limit(path: string, count: number, maximum: number): void {
    if (count <= maximum) return;
    this.findings.push({
      code: 'WIRELET_E_CONFIG_LIMIT',
      path,
      message: `must have entries at most ${maximum}`,
    });
  }

  #unknown(code: Finding['code'], kind: string, name: string, path: string, known: string[]): void {
    const message = `unknown ${kind} "${name}"${didYouMean(name, known)}`;
    this.findings.push({ code, path, message });
  }
}

function resolveLcores(lcores: WireletConfig['lcores'], findings: Finding[]): number[] {
  if (lcores === undefined) return [-1];
  if (typeof lcores === 'number') return Array.from({ length: lcores }, () => -1);
  const twice = lcores.findIndex((cpu, index) => lcores.indexOf(cpu) !== index);
  if (twice >= 0) {
    findings.push({
      code: 'WIRELET_E_CONFIG_INVALID',
      path: `lcores[${twice}]`,
      message: `CPU ${lcores[twice]} stands twice`,
    });
  }
  return lcores;
}

function resolvePorts(config: WireletConfig, names: Names, directory: string): NativePort[] {
  for (const map of ['forward', 'punt', 'rules'] as const) {
    for (const from of Object.keys(config[map] ?? {})) names.port(from, `${map}.${from}`);
  }
  const findings = names.findings;
  const ports = Object.entries(config.ports).map(([name, value]) => {
    const port = typeof value === 'string' ? { device: value } : value;
    const path = typeof value === 'string' ? `ports.${name}` : `ports.${name}.device`;
    const forward = config.forward?.[name];
    const punt = port.punt ?? config.punt?.[name];
    const puntPath = port.punt === undefined ? `punt.${name}` : `ports.${name}.punt`;
    const own = port.pipeline === undefined ? 'pipeline' : `ports.${name}.pipeline`;
    const pipeline = port.pipeline ?? config.pipeline ?? names.allPrograms;
    return {
      name,
      device: collect(findings, port.device, () => resolveDevice(port.device, directory, path)),
      queues: port.queues ?? 1,
      forward: forward === undefined ? -1 : names.port(forward, `forward.${name}`),
      punt: punt === undefined ? -1 : names.port(punt, puntPath),
      pipeline: pipeline.map((program, index) => names.program(program, `${own}[${index}]`)),
      rules: resolveRules(config.rules?.[name] ?? [], `rules.${name}`, findings),
      offload: port.offload ?? 'auto',
    };
  });
  return ports.map((port, index) => withWayBack(port, index, ports));
}

/**
 * A port that one other port punts to, and none forwards to, is the other side of that one, usually
 * a tap: what passes there, or is punted there, leaves by it, where the config names no other.
 */
function withWayBack(port: NativePort, index: number, ports: readonly NativePort[]): NativePort {
  const [from = -1, ...others] = ports.flatMap(({ punt }, at) => (punt === index ? [at] : []));
  const isForwardedTo = ports.some(({ forward }) => forward === index);
  if (from < 0 || from === index || others.length > 0 || isForwardedTo) return port;
  return {
    ...port,
    forward: port.forward < 0 ? from : port.forward,
    punt: port.punt < 0 ? from : port.punt,
  };
}

/** Runs `work`; a coded error becomes a finding and the value `otherwise`. */
function collect<T>(findings: Finding[], otherwise: T, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof WireletError)) throw error;
    const [, path = '', message = ''] = /^(\S+): ([\s\S]*)$/.exec(error.message) ?? [];
    findings.push({ code: error.code, path, message });
    return otherwise;
  }
}

function resolveProgram(
  name: string,
  value: ProgramConfig,
  names: Names,
  directory: string,
): ResolvedProgram {
  const program = typeof value === 'string' ? { source: value } : value;
  const redirectTo = program.redirectTo?.map((port, index) =>
    names.port(port, `programs.${name}.redirectTo[${index}]`),
  );
  return {
    name,
    source: resolve(directory, program.source),
    settings: program.settings ?? {},
    deadlineNs:
      program.deadlineMs === undefined
        ? DEADLINE_DEFAULT_NS
        : Math.round(program.deadlineMs * NS_PER_MS),
    onFault: program.onFault ?? 'drop',
    ...(redirectTo === undefined ? {} : { redirectTo }),
    ...(program.affinity === undefined ? {} : { affinity: program.affinity }),
  };
}
