/**
 * One reload at a time. What is saved while one is under way is reloaded after it, all at once, so
 * the last thing that is read is always newer than the last save.
 */
import type { Save } from './watcher.js';

export class Reloader {
  readonly #reload: (save: Save) => Promise<void>;
  #pending: Save | undefined;
  #running: Promise<void> | undefined;

  /** `reload` reads files when it is called, and handles its own failures. */
  constructor(reload: (save: Save) => Promise<void>) {
    this.#reload = reload;
  }

  /** Reloads now, or after the reload that is under way. */
  request(save: Save): void {
    this.#pending = this.#pending ? joined(this.#pending, save) : save;
    this.#running ??= this.#run();
  }

  /** Resolves when everything that was requested has been reloaded. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      for (let save = this.#take(); save; save = this.#take()) await this.#reload(save);
    } finally {
      this.#running = undefined;
    }
  }

  #take(): Save | undefined {
    const save = this.#pending;
    this.#pending = undefined;
    return save;
  }
}

function joined(one: Save, other: Save): Save {
  const files = [...new Set([...one.files, ...other.files])];
  return { files, savedAt: Math.min(one.savedAt, other.savedAt) };
}
