/** `defineConfig`: types and completion for a config file, nothing at run time. */
import type { WireletConfig } from './schema.js';

/** What a config that is a function is told. */
export interface ConfigEnv {
  /** The verb of the command line: `run`, `check`, ... */
  command: string;
  /** `development` or `production`; from NODE_ENV, else `production`. */
  mode: string;
}

export type ConfigFunction = (env: ConfigEnv) => WireletConfig | Promise<WireletConfig>;
/** What a config file may export as its default. */
export type ConfigExport = WireletConfig | Promise<WireletConfig> | ConfigFunction;

/**
 * Says what shape a config has.
 *
 * ```ts
 * export default defineConfig({
 *   ports: { in: 'gen:?count=1000', out: 'sink:' },
 *   forward: { in: 'out' },
 * });
 * ```
 */
export function defineConfig(config: WireletConfig): WireletConfig;
export function defineConfig(config: Promise<WireletConfig>): Promise<WireletConfig>;
export function defineConfig(config: ConfigFunction): ConfigFunction;
export function defineConfig(config: ConfigExport): ConfigExport;
export function defineConfig(config: ConfigExport): ConfigExport {
  return config;
}
