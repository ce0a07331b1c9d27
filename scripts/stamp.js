/** What a build step was made from, so that a step with nothing new costs no start of a tool. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const SKIPPED = new Set(['node_modules', 'target', 'dist', 'test']);

/** Name, size and time of change of all files in or below `inputs`, and the `extra` words. */
export function fingerprint(root, inputs, extra = []) {
  const hash = createHash('sha256');
  for (const word of extra) hash.update(`${word}\0`);
  for (const input of inputs) addTo(hash, join(root, input));
  return hash.digest('hex');
}

function addTo(hash, path) {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) {
    const names = readdirSync(path).filter((name) => !SKIPPED.has(name));
    for (const name of names.sort()) addTo(hash, join(path, name));
  } else {
    hash.update(`${path}\0${found?.size}\0${found?.mtimeMs}\0`);
  }
}

/** Whether `step` last ended with this fingerprint. */
export function isFresh(file, step, print) {
  return read(file)[step] === print;
}

/** Remembers that `step` ended with this fingerprint. */
export function remember(file, step, print) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...read(file), [step]: print }, null, 2)}\n`);
}

function read(file) {
  if (!existsSync(file)) return {};
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    // A broken file only means that the steps run once more.
    return {};
  }
}
