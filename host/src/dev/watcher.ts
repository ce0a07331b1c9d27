/**
 * Watches files, those that are not there yet included, and says which were saved.
 *
 * An editor may write a file in place, in several steps, or put another in its place; several files
 * may be saved at once. What comes within a few milliseconds is one save.
 *
 * Folders are watched, not files: a watch on a file is one on its inode, and is lost with it. Of a
 * folder the kernel names every change, so that none can fall between two watches.
 */
import { type FSWatcher, lstatSync, realpathSync, statSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Files that were written, created or deleted together. */
export interface Save {
  files: string[];
  /** When the first of them was, as far as is known: milliseconds since 1970. */
  savedAt: number;
}

/** Between the steps of one save lie microseconds, between two files of "save all" a few ms. */
const QUIET_MS = 8;
/** A file that is written without pause must not keep others waiting. */
const WAIT_MS_MAX = 100;

interface Folder {
  watcher: FSWatcher;
  inode: number;
}

export class Watcher {
  readonly #onSave: (save: Save) => void;
  readonly #folders = new Map<string, Folder>();
  /** What each file was when it was looked at last, to see what changed while nobody watched. */
  #files = new Map<string, string>();
  /** Files that are links, by what they lead to. */
  readonly #targets = new Map<string, string>();
  #pending = new Map<string, number>();
  #quiet: NodeJS.Timeout | undefined;
  #latest = 0;

  constructor(onSave: (save: Save) => void) {
    this.#onSave = onSave;
  }

  /**
   * Watches `files`, absolute paths, and nothing else from now on. Those that are new to it and
   * changed after `readAt`, milliseconds since 1970, were saved after they were read.
   */
  watch(files: Iterable<string>, readAt = Number.POSITIVE_INFINITY): void {
    const known = this.#files;
    this.#targets.clear();
    this.#files = new Map();
    for (const file of files) {
      this.#files.set(file, known.get(file) ?? stateOf(file));
      const target = targetOf(file);
      if (target === undefined) continue;
      this.#targets.set(target, file);
      this.#files.set(target, known.get(target) ?? stateOf(target));
    }
    this.#settle();
    for (const file of this.#files.keys()) {
      if (!known.has(file) && changedAt(file) > readAt) this.#changed(file);
    }
  }

  close(): void {
    clearTimeout(this.#quiet);
    for (const name of [...this.#folders.keys()]) this.#leave(name);
  }

  /** Watches the folders that are there now, or what is there of the way to them. */
  #settle(): void {
    const wanted = new Map<string, number>();
    for (const file of this.#files.keys()) {
      const [name, inode] = nearestFolder(dirname(file));
      wanted.set(name, inode);
    }
    for (const [name, { inode }] of [...this.#folders]) {
      if (wanted.get(name) !== inode) this.#leave(name);
    }
    for (const [name, inode] of wanted) {
      if (!this.#folders.has(name)) this.#enter(name, inode);
    }
  }

  #enter(name: string, inode: number): void {
    let watcher: FSWatcher;
    try {
      watcher = watch(name, (_event, entry) => this.#onEvent(name, entry));
    } catch {
      return; // It has gone again; its parent says so.
    }
    watcher.on('error', () => {
      this.#leave(name);
      this.#settle();
    });
    this.#folders.set(name, { watcher, inode });
    for (const [file, state] of this.#files) {
      if (file.startsWith(join(name, '/')) && stateOf(file) !== state) this.#changed(file);
    }
  }

  #leave(name: string): void {
    this.#folders.get(name)?.watcher.close();
    this.#folders.delete(name);
  }

  /** `entry` of `folder` was written, created, deleted or moved; null: the kernel did not say. */
  #onEvent(folder: string, entry: string | null): void {
    const path = entry === null ? folder : join(folder, entry);
    if (this.#files.has(path)) this.#changed(path);
    else if (entry === null || entry === basename(folder) || this.#isOnTheWay(path)) this.#settle();
  }

  #isOnTheWay(path: string): boolean {
    return [...this.#files.keys()].some((file) => file.startsWith(join(path, '/')));
  }

  #changed(file: string): void {
    const now = Date.now();
    const { mtimeMs = now } = statSync(file, { throwIfNoEntry: false }) ?? {};
    this.#files.set(file, stateOf(file));
    // A file that was moved here may be old: it was not saved before it was looked at last.
    const savedAt = Math.min(now, Math.max(mtimeMs, now - WAIT_MS_MAX));
    if (this.#pending.size === 0) this.#latest = performance.now() + WAIT_MS_MAX;
    const name = this.#targets.get(file) ?? file;
    this.#pending.set(name, Math.min(savedAt, this.#pending.get(name) ?? savedAt));
    clearTimeout(this.#quiet);
    const waitMs = Math.min(QUIET_MS, Math.max(0, this.#latest - performance.now()));
    this.#quiet = setTimeout(() => this.#tell(), waitMs);
  }

  #tell(): void {
    const saved = this.#pending;
    this.#pending = new Map();
    this.#onSave({ files: [...saved.keys()], savedAt: Math.min(...saved.values()) });
  }
}

function stateOf(file: string): string {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats === undefined ? 'none' : `${stats.ino} ${stats.mtimeMs} ${stats.size}`;
}

/** When it was written or put there; 0 for what is not there. */
function changedAt(file: string): number {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats === undefined ? 0 : Math.max(stats.mtimeMs, stats.ctimeMs);
}

/** Where a link leads in the end; undefined for what is no link. */
function targetOf(file: string): string | undefined {
  if (!lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) return undefined;
  try {
    return realpathSync(file);
  } catch {
    return undefined; // It leads nowhere yet.
  }
}

/** `folder`, or the nearest above it that is there, and its inode. */
function nearestFolder(folder: string): [string, number] {
  const stats = statSync(folder, { throwIfNoEntry: false });
  if (stats?.isDirectory() || dirname(folder) === folder) return [folder, stats?.ino ?? 0];
  return nearestFolder(dirname(folder));
}
