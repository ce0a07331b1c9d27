/** Finds a config file and reads it, TypeScript included. */
import { existsSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, extname, join, resolve } from 'node:path';
import { createJiti } from 'jiti';
import { WireletError } from '../error.js';
import { checkConfig } from './check.js';
import type { ConfigEnv, ConfigExport } from './define.js';
import { withImports } from './imports.js';
import type { WireletConfig } from './schema.js';

/** Names that are looked for, in this order. */
export const CONFIG_FILES = [
  'wirelet.config.ts',
  'wirelet.config.js',
  'wirelet.config.mjs',
  'wirelet.config.json',
] as const;

export interface LoadedConfig {
  /** Absolute path of the file. */
  file: string;
  /** Its folder: what relative paths in it are relative to. */
  directory: string;
  config: WireletConfig;
  /** The file, and those of the same project that it imports. */
  files: string[];
}

/**
 * Reads and checks a config: `path`, a file or a folder; without it the working directory's.
 *
 * ```ts
 * const { config, directory } = await loadConfig('examples/dns');
 * const appliance = await createAppliance(config, { directory });
 * ```
 * @throws WIRELET_E_CONFIG_NOT_FOUND, WIRELET_E_CONFIG_INVALID and the other codes of configs
 */
export async function loadConfig(path = '.', env: Partial<ConfigEnv> = {}): Promise<LoadedConfig> {
  const file = findConfig(resolve(path));
  const files = withImports(file);
  const exported = extname(file) === '.json' ? await readJson(file) : await importConfig(file);
  const mode = env.mode ?? process.env.NODE_ENV ?? 'production';
  const value = await evaluate(exported, { command: env.command ?? 'run', mode }, file);
  return { file, directory: dirname(file), config: checkConfig(value, file), files };
}

function findConfig(path: string): string {
  if (!existsSync(path)) {
    throw new WireletError('WIRELET_E_CONFIG_NOT_FOUND', `there is no ${path}`);
  }
  if (!statSync(path).isDirectory()) return path;
  const found = CONFIG_FILES.map((name) => join(path, name)).find((file) => existsSync(file));
  if (found !== undefined) return found;
  throw new WireletError(
    'WIRELET_E_CONFIG_NOT_FOUND',
    `there is no wirelet.config.ts, .js, .mjs or .json in ${path}`,
  );
}

async function readJson(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as unknown;
  } catch (error) {
    throw unreadable(file, error);
  }
}

/** `wirelet` resolves to this very package, wherever the config lies. */
async function importConfig(file: string): Promise<unknown> {
  const jiti = createJiti(file, {
    fsCache: false,
    moduleCache: false,
    virtualModules: { wirelet: await import('../index.js') },
  });
  try {
    return await jiti.import(file, { default: true });
  } catch (error) {
    throw unreadable(file, error);
  }
}

async function evaluate(exported: unknown, env: ConfigEnv, file: string): Promise<unknown> {
  try {
    return await (typeof exported === 'function'
      ? (exported as Extract<ConfigExport, (env: ConfigEnv) => unknown>)(env)
      : exported);
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): WireletError {
  const reason = error instanceof Error ? error.message : String(error);
  return new WireletError('WIRELET_E_CONFIG_INVALID', `${file} can't be read: ${reason}`, {
    hint: 'A config exports an object, a function or a promise as its default.',
    details: { file },
    cause: error,
  });
}
