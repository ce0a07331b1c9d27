/** `[config]` of `plan` and `apply`: read here, so that its code runs in this process. */
import type { ConfigEnv } from '../config/define.js';
import { type LoadedConfig, loadConfig } from '../config/load.js';
import { withoutUndefined } from '../config/overrides.js';
import type { Params } from '../control/protocol.js';
import type { Options } from './command.js';

/** The config that is named, or the working directory's. @throws the codes of configs */
export function desiredConfig([path]: readonly string[], options: Options): Promise<LoadedConfig> {
  // A config that is a function gets what `run` gave it.
  const env: Partial<ConfigEnv> = withoutUndefined({ command: 'run', mode: options.text('mode') });
  return loadConfig(path ?? options.text('config') ?? '.', env);
}

export function desiredParams(loaded: LoadedConfig, options: Options): Params<'plan'> {
  const { config, directory, file } = loaded;
  return { config, directory, file, resetState: options.flag('resetState') };
}
