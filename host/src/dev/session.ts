/**
 * What `wirelet dev` does about saves: reads what was saved and makes it what runs. Whatever fails
 * on the way is reported, and what ran before goes on.
 */
import type { LoadedConfig } from '../config/load.js';
import { asWireletError, type WireletError } from '../error.js';
import type { Applied } from '../generations.js';
import { Reloader } from './reloader.js';
import { type Save, Watcher } from './watcher.js';

/** The appliance, as far as it is needed. */
export interface DevTarget {
  /** Reads the config anew. */
  readConfig(): Promise<LoadedConfig>;
  /**
   * Makes `loaded` what runs; programs none of whose files are among `changed` are as they were,
   * undefined: all are read anew.
   */
  apply(loaded: LoadedConfig, changed: ReadonlySet<string> | undefined): Promise<Applied>;
  /** Files that the programs which run were built from. */
  programFiles(): Iterable<string>;
}

/** A reload that worked. */
export interface Reloaded extends Applied {
  /** What was saved; none when it was asked for by hand. */
  files: readonly string[];
  /** Milliseconds from the save until the reload began: noticing it, and waiting for one before. */
  watchMs: number;
}

export interface DevReports {
  reloaded(reloaded: Reloaded): void;
  failed(error: WireletError): void;
}

/** A file system's clock may be this much behind. */
const CLOCK_MS = 20;

export class DevSession {
  readonly #target: DevTarget;
  readonly #reports: DevReports;
  readonly #watcher: Watcher;
  readonly #reloader: Reloader;
  /** The config that was applied last. */
  #applied: LoadedConfig;
  /** The newest one that could be read. */
  #wanted: LoadedConfig;
  #isConfigDirty = false;
  #isClosed = false;
  /** Saved since something was applied last; undefined: anything may have been. */
  #dirty: Set<string> | undefined = new Set();
  /** Files that would have been read, had the last reload not failed before. */
  #missed: readonly string[] = [];

  /** `loaded` runs; what it was made from was read after `readAt`, milliseconds since 1970. */
  constructor(target: DevTarget, loaded: LoadedConfig, reports: DevReports, readAt: number) {
    this.#target = target;
    this.#applied = loaded;
    this.#wanted = loaded;
    this.#reports = reports;
    this.#reloader = new Reloader((save) => this.#reload(save));
    this.#watcher = new Watcher((save) => this.#reloader.request(save));
    this.#watch(readAt);
  }

  /** Reads everything anew, saved or not. */
  reload(): void {
    this.#dirty = undefined;
    this.#isConfigDirty = true;
    this.#reloader.request({ files: [], savedAt: Date.now() });
  }

  /** Ends watching. A reload that is under way ends, and nobody hears of it. */
  close(): void {
    this.#isClosed = true;
    this.#watcher.close();
  }

  /** Resolves when what was saved until now has been reloaded. */
  idle(): Promise<void> {
    return this.#reloader.idle();
  }

  async #reload({ files, savedAt }: Save): Promise<void> {
    const readAt = Date.now();
    const watchMs = Math.max(0, readAt - savedAt);
    for (const file of files) this.#dirty?.add(file);
    const ofConfig = [...this.#wanted.files, ...this.#missed];
    if (ofConfig.some((file) => files.includes(file))) this.#isConfigDirty = true;
    try {
      if (this.#isConfigDirty) this.#wanted = await this.#target.readConfig();
      this.#isConfigDirty = false;
      const wanted = this.#wanted;
      const applied = await this.#apply();
      this.#applied = this.#wanted;
      this.#dirty = new Set();
      this.#missed = [];
      // After a refusal that was told, "no changes" is no news.
      const isNews = applied.change !== null || wanted === this.#wanted;
      if (isNews && !this.#isClosed) this.#reports.reloaded({ ...applied, files, watchMs });
    } catch (thrown) {
      const error = asWireletError(thrown);
      this.#missed = filesOf(error);
      this.#fail(error);
    } finally {
      if (!this.#isClosed) this.#watch(readAt);
    }
  }

  #fail(error: WireletError): void {
    if (!this.#isClosed) this.#reports.failed(error);
  }

  async #apply(): Promise<Applied> {
    try {
      return await this.#target.apply(this.#wanted, this.#dirty);
    } catch (thrown) {
      const error = asWireletError(thrown);
      if (error.code !== 'WIRELET_E_RESTART_NEEDED') throw error;
      // Programs that are saved need not wait until somebody restarts.
      this.#fail(error);
      this.#wanted = this.#applied;
      return this.#target.apply(this.#wanted, this.#dirty);
    }
  }

  #watch(readAt: number): void {
    const files = [...this.#wanted.files, ...this.#target.programFiles(), ...this.#missed];
    this.#watcher.watch(files, readAt - CLOCK_MS);
  }
}

/** Files whose change may mend what failed. */
export function filesOf({ details: { files, file } }: WireletError): string[] {
  const all: unknown[] = Array.isArray(files) ? files : [file];
  return all.filter((each) => typeof each === 'string');
}
