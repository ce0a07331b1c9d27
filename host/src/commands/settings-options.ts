/** `--settings file.json` and `--set program.key=value`: settings by program. */
import { readFile } from 'node:fs/promises';
import type { Setting } from '../config/schema.js';
import { WireletError } from '../error.js';
import { didYouMean } from '../suggest.js';
import type { Options } from './command.js';

export type SettingsByProgram = Map<string, Record<string, Setting>>;

/**
 * Settings of each of `programs`; `--set` is stronger than the file.
 * @throws WIRELET_E_USAGE, WIRELET_E_SETTINGS
 */
export async function readSettings(
  options: Options,
  programs: readonly string[],
): Promise<SettingsByProgram> {
  const settings: SettingsByProgram = new Map(programs.map((name) => [name, {}]));
  const file = options.text('settings');
  if (file !== undefined) addFile(settings, await readObject(file), file);
  for (const text of options.texts('set')) addSetting(settings, text);
  return settings;
}

/** A file holds settings by program; with one program, also that program's settings alone. */
function addFile(settings: SettingsByProgram, object: Record<string, unknown>, file: string): void {
  const names = [...settings.keys()];
  const byProgram = Object.entries(object).every(
    ([name, value]) => names.includes(name) && isObject(value),
  );
  const [only] = names;
  if (!byProgram && names.length === 1 && only !== undefined) {
    settings.set(only, object as Record<string, Setting>);
    return;
  }
  for (const [name, value] of Object.entries(object)) {
    if (!names.includes(name)) throw unknownProgram(`${file}: ${name}`, name, names);
    if (!isObject(value)) {
      throw new WireletError('WIRELET_E_SETTINGS', `${file}: ${name}: settings are an object`);
    }
    settings.set(name, value as Record<string, Setting>);
  }
}

/** `dnsguard.blocked=["a.example"]`; without a program's name it is the only one's. */
function addSetting(settings: SettingsByProgram, text: string): void {
  const equals = text.indexOf('=');
  if (equals < 1) {
    throw new WireletError('WIRELET_E_USAGE', `--set: "${text}" is not program.key=value`);
  }
  const names = [...settings.keys()];
  const path = text.slice(0, equals);
  const owner = names.find((name) => path.startsWith(`${name}.`));
  const [only] = names;
  const name = owner ?? (names.length === 1 ? only : undefined);
  if (name === undefined) throw unknownProgram(`--set ${path}`, path.split('.')[0] ?? path, names);
  const key = owner === undefined ? path : path.slice(owner.length + 1);
  settings.set(name, { ...settings.get(name), [key]: parseValue(text.slice(equals + 1)) });
}

/** JSON when it is some, else text: `--set limit=5`, `--set name=ads.example`. */
function parseValue(text: string): Setting {
  try {
    return JSON.parse(text) as Setting;
  } catch {
    return text;
  }
}

async function readObject(file: string): Promise<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WireletError('WIRELET_E_SETTINGS', `${file}: ${reason}`, { cause });
  }
  if (isObject(value)) return value;
  throw new WireletError('WIRELET_E_SETTINGS', `${file}: settings are a JSON object`);
}

function unknownProgram(where: string, name: string, names: readonly string[]): WireletError {
  const known = `programs here: ${names.join(', ')}`;
  const message = `${where}: no program of that name${didYouMean(name, names)}`;
  return new WireletError('WIRELET_E_USAGE', message, { hint: known });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
