/** What the engine says, as its listeners hear it: faults with their lines, errors with codes. */
import type { FaultFolder } from './config/resolve.js';
import { asWireletError, isErrorCode, WireletError } from './error.js';
import { type Fault, faultOf } from './fault.js';
import { FaultFiles } from './fault-files.js';
import type { GenerationChange } from './generations.js';
import { Listeners } from './listeners.js';
import type { NativeEvent, NativePunted } from './native.js';
import type { LoadedProgram } from './program.js';
import { TENANT_DEFAULT } from './tenant.js';

/** A line that a program logged. */
export interface LogLine {
  program: string;
  lcore: number;
  text: string;
}

/** A program faulted again and again, and is not built anew any more. */
export interface Quarantine {
  tenant: string;
  program: string;
  lcore: number;
  generation: number;
  message: string;
}

/** A port's interface lost its link, or has it again. The port goes on. */
export interface LinkChange {
  port: string;
  link: 'up' | 'down';
}

/** The device of a port, which had ended with an error, is there again: the port is open again. */
export interface Reopened {
  port: string;
}

/** Packets of a port cross between NUMA nodes: it works, and is slower. */
export interface Placement {
  port: string;
  /** What is where. */
  message: string;
}

/** `wan: link down: ...`, for people. */
export function linkText({ port, link }: LinkChange): string {
  const lost = ': packets to it are dropped until it is up again';
  return `${port}: link ${link}${link === 'down' ? lost : ''}`;
}

/** `wan: open again: ...`, for people. */
export function reopenedText({ port }: Reopened): string {
  return `${port}: open again: its device is back`;
}

/** A packet that a program punted, of a port that the config gives no other to punt to. */
export interface PuntedPacket {
  /** It came in by. */
  port: string;
  program: string;
  lcore: number;
  /** The 32 bits that it carries. */
  mark: number;
  /** Nanoseconds since 1970, when its burst started. */
  timeNs: bigint;
  /** As the program left it. */
  packet: Uint8Array;
}

export interface ApplianceEvents {
  /** A program faulted. */
  fault: Fault;
  /** A program was put out of service. */
  quarantine: Quarantine;
  /** A new generation runs on all lcores. */
  swap: GenerationChange;
  /** The programs of the generation before run again, by hand or by themselves. */
  rollback: GenerationChange;
  /** The link of a port changed, or is down at the start. */
  link: LinkChange;
  /** The device of a port that had ended is back, and the port goes on. */
  reopened: Reopened;
  /** At the start: a port's NIC, its frames and its lcores are on several NUMA nodes. */
  placement: Placement;
  /** A program logged a line. */
  log: LogLine;
  /** A program punted a packet to the host. */
  punt: PuntedPacket;
  /** A device or an lcore failed, or a listener threw. */
  error: WireletError;
}

/** What is asked of the generations. */
interface Generations {
  programOf(program: string, generation: number): LoadedProgram | undefined;
  onEvent(event: NativeEvent): void;
}

export class Events {
  readonly listeners = new Listeners<ApplianceEvents>();
  readonly #generations: () => Generations;
  readonly #folder: () => FaultFolder;
  #files: { folder: FaultFolder; files: FaultFiles } | undefined;

  /** `folder` is where packets of faults are saved now; without a directory they are not. */
  constructor(generations: () => Generations, folder: () => FaultFolder) {
    this.#generations = generations;
    this.#folder = folder;
  }

  /** Passes on one event of the engine. */
  take(event: NativeEvent): void {
    const { kind, name, lcore, message, generation } = event;
    if (kind === 'fault') {
      this.#fault(event);
    } else if (kind === 'log') {
      this.listeners.emit('log', { program: name, lcore, text: message });
    } else if (kind === 'link') {
      this.listeners.emit('link', { port: name, link: message === 'up' ? 'up' : 'down' });
    } else if (kind === 'reopened') {
      this.listeners.emit('reopened', { port: name });
    } else if (kind === 'placement') {
      this.listeners.emit('placement', { port: name, message });
    } else if (kind === 'swap' || kind === 'rollback') {
      this.#generations().onEvent(event);
    } else if (kind === 'quarantine') {
      const where = { tenant: TENANT_DEFAULT, program: name, lcore, generation };
      this.listeners.emit('quarantine', { ...where, message });
    } else {
      this.listeners.emit('error', errorOf(event));
    }
  }

  /** Passes on packets that were punted to the host. */
  takePunted(punted: readonly NativePunted[]): void {
    for (const packet of punted) this.listeners.emit('punt', packet);
  }

  #fault(event: NativeEvent): void {
    const program = this.#generations().programOf(event.name, event.generation);
    const fault = faultOf(event, program);
    const saved = this.#save(fault, event.timeNs);
    this.listeners.emit('fault', saved === undefined ? fault : { ...fault, saved });
  }

  #save(fault: Fault, timeNs: bigint): string | undefined {
    try {
      return this.#filesOf(this.#folder())?.save(fault, timeNs);
    } catch (thrown) {
      this.listeners.emit('error', asWireletError(thrown));
      return undefined;
    }
  }

  /** The files of `folder`, which a new config may have changed. */
  #filesOf(folder: FaultFolder): FaultFiles | undefined {
    const { directory, filesMax } = folder;
    if (directory === undefined) return undefined;
    const same = this.#files?.folder;
    if (same?.directory !== directory || same.filesMax !== filesMax) {
      this.#files = { folder, files: new FaultFiles(directory, folder) };
    }
    return this.#files?.files;
  }
}

function errorOf({ kind, name, lcore, message, code = '' }: NativeEvent): WireletError {
  const known = isErrorCode(code) ? code : 'WIRELET_E_INTERNAL';
  return new WireletError(known, `${name}: ${message}`, { details: { kind, name, lcore } });
}
