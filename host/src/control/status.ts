/** What `wirelet status` shows: gathered by the appliance, so that a reader needs one request. */
import type { Appliance } from '../appliance.js';
import type { Fault } from '../fault.js';
import type { GenerationChange } from '../generations.js';
import type { LcoreState, PortStats, ProgramHealth } from '../stats/stats.js';
import { TENANT_DEFAULT } from '../tenant.js';

/** Changes and faults that are remembered. */
const KEPT = 10;

export interface StatusProgram {
  tenant: string;
  name: string;
  source: string;
  health: ProgramHealth;
  packets: number;
  faults: number;
  rebuilds: number;
}

export interface StatusPort {
  name: string;
  device: string;
  link: PortStats['link'];
  /** It will never receive again: its file has ended, its interface is gone. */
  finished: boolean;
}

export interface StatusLcore {
  /** -1 where the kernel places it. */
  cpu: number;
  state: LcoreState;
  /** That it has adopted. */
  generation: number;
  busy: number;
}

/** A fault, without its frames. */
export type StatusFault = Pick<
  Fault,
  'tenant' | 'program' | 'generation' | 'lcore' | 'code' | 'message'
> & { place: string; saved?: string };

export interface Status {
  name: string;
  pid: number;
  /** The config's file; '' where there is none. */
  config: string;
  socket: string;
  uptimeMs: number;
  generation: number;
  ports: StatusPort[];
  programs: StatusProgram[];
  lcores: StatusLcore[];
  /** The last ones, newest first. */
  changes: GenerationChange[];
  faults: StatusFault[];
}

/** What of an appliance is not in it. */
export interface Place {
  config: string;
  socket: string;
}

/** Listens to an appliance, and knows its status at any time. */
export class StatusBook {
  readonly #appliance: Appliance;
  readonly #place: Place;
  readonly #changes: GenerationChange[] = [];
  readonly #faults: StatusFault[] = [];

  constructor(appliance: Appliance, place: Place) {
    this.#appliance = appliance;
    this.#place = place;
    appliance.on('swap', (change) => keep(this.#changes, change));
    appliance.on('rollback', (change) => keep(this.#changes, change));
    appliance.on('fault', (fault) => keep(this.#faults, summaryOf(fault)));
  }

  status(): Status {
    const { config, generation } = this.#appliance;
    const stats = this.#appliance.stats();
    return {
      name: config.name,
      pid: process.pid,
      ...this.#place,
      uptimeMs: Math.round(stats.elapsedMs),
      generation,
      ports: config.ports.map(({ name, device }) => {
        const port = stats.ports[name];
        return { name, device, link: port?.link ?? 'down', finished: port?.finished ?? true };
      }),
      programs: config.programs.map(({ name, source }) => {
        const program = stats.programs[name];
        return {
          tenant: TENANT_DEFAULT,
          name,
          source,
          health: program?.health ?? 'rebuilding',
          packets: program?.packets ?? 0,
          faults: program?.faults ?? 0,
          rebuilds: program?.rebuilds ?? 0,
        };
      }),
      lcores: stats.lcores.map(({ state, busy, ...lcore }, index) => {
        return { cpu: config.lcores[index] ?? -1, state, generation: lcore.generation, busy };
      }),
      changes: this.#changes,
      faults: this.#faults,
    };
  }
}

function keep<T>(list: T[], item: T): void {
  list.unshift(item);
  list.length = Math.min(list.length, KEPT);
}

function summaryOf(fault: Fault): StatusFault {
  const { tenant, program, generation, lcore, code, message, saved } = fault;
  const place = fault.file === undefined ? '' : `${fault.file}:${fault.line}:${fault.column}`;
  const summary = { tenant, program, generation, lcore, code, message, place };
  return saved === undefined ? summary : { ...summary, saved };
}
