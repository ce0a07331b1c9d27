/** Packets of faults as capture files: the last of them, in a folder that stays small. */
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FaultFolder } from './config/resolve.js';
import { asWireletError, WireletError } from './error.js';
import type { Fault } from './fault.js';
import { makeFolder } from './folder.js';
import { encodePcapng } from './pcapng.js';

/** A storm of faults is one fault, many times: writing each would only wear out the disk. */
const FILES_PER_SECOND_MAX = 10;
const MS_PER_SECOND = 1000;
/** Our files, and nothing else that lies there. */
const NAME = /^fault-\d{8}T\d{6}\.\d{3}Z-\d+-.*\.pcapng$/;

export class FaultFiles {
  readonly #folder: string;
  readonly #filesMax: number;
  readonly #now: () => number;
  /** Names, oldest first. */
  #files: string[] | undefined;
  #second = 0;
  #inSecond = 0;
  #number = 0;
  #failed = false;

  /** `now` is milliseconds since 1970. */
  constructor(folder: string, { filesMax }: Pick<FaultFolder, 'filesMax'>, now = Date.now) {
    this.#folder = folder;
    this.#filesMax = filesMax;
    this.#now = now;
  }

  /**
   * Saves the packet of `fault`, which happened at `timeNs` since 1970; the file, or undefined for
   * a fault without a packet and for those of a storm.
   * @throws WIRELET_E_OUTPUT once; after that nothing is saved any more
   */
  save(fault: Fault, timeNs: bigint): string | undefined {
    const { packet } = fault;
    if (packet === undefined || this.#filesMax === 0 || this.#failed || !this.#mayWrite()) {
      return undefined;
    }
    try {
      return this.#write(fault, packet, timeNs);
    } catch (cause) {
      this.#failed = true;
      const message = `${this.#folder}: packets of faults can't be saved: ${reasonOf(cause)}`;
      throw new WireletError('WIRELET_E_OUTPUT', message, { cause });
    }
  }

  #write(fault: Fault, packet: Uint8Array, timeNs: bigint): string {
    makeFolder(this.#folder, 0o700);
    this.#files ??= readdirSync(this.#folder)
      .filter((name) => NAME.test(name))
      .toSorted();
    while (this.#files.length >= this.#filesMax) {
      rmSync(join(this.#folder, this.#files.shift() ?? ''), { force: true });
    }
    const name = this.#nameOf(fault);
    const comment = faultComment(fault);
    const captured = { bytes: packet, timeNs, interface: 0, comment };
    const path = join(this.#folder, name);
    // Packets may hold secrets; and a link that somebody has put there is not followed.
    const bytes = encodePcapng([`wirelet lcore ${fault.lcore}`], [captured]);
    writeFileSync(path, bytes, { flag: 'wx', mode: 0o600 });
    this.#files.push(name);
    return path;
  }

  /** Sorts by time: `fault-20260101T000000.000Z-0-guard.pcapng`. */
  #nameOf({ program }: Fault): string {
    const time = new Date(this.#now()).toISOString().replaceAll(/[-:]/g, '');
    const number = String(this.#number++).padStart(4, '0');
    return `fault-${time}-${process.pid}${number}-${program.replaceAll('/', '_')}.pcapng`;
  }

  #mayWrite(): boolean {
    const second = Math.floor(this.#now() / MS_PER_SECOND);
    if (second !== this.#second) [this.#second, this.#inSecond] = [second, 0];
    this.#inSecond++;
    return this.#inSecond <= FILES_PER_SECOND_MAX;
  }
}

/** What a reader of the file wants to know first. */
function faultComment(fault: Fault): string {
  const { tenant, program, generation, code, message, file, line, column } = fault;
  const place = file === undefined ? 'an unknown line' : `${file}:${line}:${column}`;
  return `${tenant}/${program}, generation ${generation}, ${place}: ${code}: ${message}`;
}

function reasonOf(cause: unknown): string {
  return asWireletError(cause).message;
}
