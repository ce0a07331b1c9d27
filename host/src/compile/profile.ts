/**
 * The guest profile: asc's options for every program.
 *
 * The profile belongs to the guest SDK and ships in it, `@wirelet/runtime/asconfig.json`; in a
 * checkout the repository's root has it (`/asconfig.json`), which is looked at second. It always
 * holds. A project's own asconfig.json, beside the program or above it up to the next package.json,
 * may add to it, and should say so to editors and to plain asc:
 *
 * ```json
 * { "extends": "@wirelet/runtime/asconfig.json", "options": { "noAssert": true } }
 * ```
 *
 * Only what can't change the ABI may be added (`FREE`): a program with another memory base, start
 * function or Wasm feature would be refused by the engine, and a transform would run code at build.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { WireletError } from '../error.js';
import type { AscOptions } from './job.js';

/** Options that a project may set for itself. */
const FREE = new Set([
  'optimize',
  'optimizeLevel',
  'shrinkLevel',
  'converge',
  'initialMemory',
  'maximumMemory',
  'noAssert',
  'pedantic',
  'disableWarning',
  'uncheckedBehavior',
]);
const SDK_PREFIX = '@wirelet/runtime/';
const TARGET = 'release';
const EXTENDS_DEPTH_MAX = 16;

export interface Profile {
  options: AscOptions;
  /** Files that were read, and places where one would have counted. */
  files: string[];
}

interface Config {
  options: AscOptions;
  extends: string | null;
}

const resolver = createRequire(import.meta.url);

/** Folder of the guest SDK that this version of Wirelet builds with. */
export function runtimeFolder(): string {
  return path.dirname(resolver.resolve('@wirelet/runtime/package.json'));
}

/** The options for a program in `folder`. */
export function loadProfile(folder: string, runtime = runtimeFolder()): Profile {
  const shipped = shippedProfile(runtime);
  const base = readConfig(shipped).options;
  const files = [shipped];
  const options: AscOptions = { ...base };
  for (const file of projectConfigs(folder, shipped, files)) {
    for (const [key, value] of Object.entries(readConfig(file).options)) {
      if (!FREE.has(key) && !same(value, base[key])) throw fixedOption(file, key);
      options[key] = value;
    }
  }
  return { options, files };
}

/** The options with the guest SDK's own files by their paths: asc would look near the program. */
export function resolvedOptions(options: AscOptions, runtime: string): AscOptions {
  return { ...options, transform: sdkFiles(options, runtime) };
}

/** The guest SDK's transforms, which run in the compiler. */
export function sdkFiles({ transform }: AscOptions, runtime: string): string[] {
  const named = Array.isArray(transform) ? transform : [];
  return named.map((each) =>
    each.startsWith(SDK_PREFIX) ? path.join(runtime, each.slice(SDK_PREFIX.length)) : each,
  );
}

function shippedProfile(runtime: string): string {
  const places = [path.join(runtime, 'asconfig.json'), path.join(runtime, '..', 'asconfig.json')];
  const found = places.find((each) => existsSync(each));
  if (found) return found;
  const message = `The guest profile is missing: ${places.join(' or ')}.`;
  throw new WireletError('WIRELET_E_INTERNAL', message);
}

/** A project's configs, the furthest base first; `files` gets every place that was looked at. */
function projectConfigs(folder: string, shipped: string, files: string[]): string[] {
  const chain: string[] = [];
  let file = nearestConfig(folder, files);
  while (file && path.resolve(file) !== path.resolve(shipped)) {
    if (chain.includes(file) || chain.length >= EXTENDS_DEPTH_MAX) {
      throw invalid(file, 'its `extends` goes round in a circle');
    }
    chain.unshift(file);
    if (!files.includes(file)) files.push(file);
    const base = readConfig(file).extends;
    file = base ? extended(file, base) : null;
  }
  return chain;
}

/** asconfig.json beside the program, or above it as far as its project reaches. */
function nearestConfig(folder: string, files: string[]): string | null {
  const places: string[] = [];
  for (let at = path.resolve(folder); ; at = path.dirname(at)) {
    places.push(path.join(at, 'asconfig.json'));
    if (existsSync(path.join(at, 'package.json'))) break;
    if (path.dirname(at) === at) {
      places.length = 1; // In no project: only the file beside the program counts.
      break;
    }
  }
  const found = places.findIndex((each) => existsSync(each));
  files.push(...(found < 0 ? places : places.slice(0, found + 1)));
  return places[found] ?? null;
}

function extended(file: string, base: string): string {
  const folder = path.dirname(file);
  if (base.startsWith('.') || path.isAbsolute(base)) return path.resolve(folder, base);
  if (base === `${SDK_PREFIX}asconfig.json`) return shippedProfile(runtimeFolder());
  try {
    return createRequire(file).resolve(base);
  } catch (cause) {
    throw invalid(file, `\`extends\` names ${base}, which is not installed`, cause);
  }
}

function readConfig(file: string): Config {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw invalid(file, cause instanceof Error ? cause.message : 'it can not be read', cause);
  }
  if (!isRecord(parsed)) throw invalid(file, 'it is no object');
  const targets = isRecord(parsed.targets) ? parsed.targets : {};
  const target = isRecord(targets[TARGET]) ? targets[TARGET] : {};
  const general = isRecord(parsed.options) ? parsed.options : {};
  const options: AscOptions = {};
  for (const [key, value] of Object.entries({ ...general, ...target })) {
    if (!isOption(value)) throw invalid(file, `\`${key}\` is no text, number, switch or list`);
    options[key] = value;
  }
  return { options, extends: typeof parsed.extends === 'string' ? parsed.extends : null };
}

function fixedOption(file: string, key: string): WireletError {
  return new WireletError('WIRELET_E_CONFIG_INVALID', `${file}: \`${key}\` is fixed by the ABI.`, {
    hint: `Remove it. Programs may set ${[...FREE].join(', ')}.`,
    details: { file, key },
  });
}

function invalid(file: string, why: string, cause?: unknown): WireletError {
  const options = { hint: 'See docs/programs.md, asconfig.json.', details: { file }, cause };
  return new WireletError('WIRELET_E_CONFIG_INVALID', `${file}: ${why}.`, options);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isOption(value: unknown): value is string | number | boolean | string[] {
  if (Array.isArray(value)) return value.every((each) => typeof each === 'string');
  return ['string', 'number', 'boolean'].includes(typeof value);
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
