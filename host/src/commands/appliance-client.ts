/** How verbs find the appliance that they are about, and talk to it. */
import { readdirSync } from 'node:fs';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { type LoadedConfig, loadConfig } from '../config/load.js';
import { answers, ControlClient } from '../control/client.js';
import { socketPath } from '../control/path.js';
import { WireletError } from '../error.js';
import type { Output } from '../terminal/output.js';
import type { Options } from './command.js';

/** The socket of the appliance of `loaded`; false when its config wants none. */
export function socketOf({ config, directory }: LoadedConfig, options: Options): string | false {
  const given = config.control?.socket;
  return socketPath({
    flag: options.text('socket'),
    env: process.env,
    config: typeof given === 'string' ? resolve(directory, given) : given,
    directory,
  });
}

/**
 * Connects, asks, and leaves again. `near` is the config that the verb has read; without it the
 * working directory's is asked for the socket, and when that is broken its folder's name is enough.
 * @throws WIRELET_E_NO_APPLIANCE
 */
export async function withAppliance<T>(
  { options, output }: { options: Options; output: Output },
  work: (client: ControlClient) => Promise<T>,
  near?: LoadedConfig,
): Promise<T> {
  const path = near ? socketOf(near, options) : await nearSocket(options, output);
  if (path === false) {
    const message = '`control.socket` of the config is false: nobody can talk to its appliance';
    throw new WireletError('WIRELET_E_NO_APPLIANCE', message);
  }
  const client = await connect(path);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

async function nearSocket(options: Options, output: Output): Promise<string | false> {
  const named = options.text('socket') ?? process.env.WIRELET_SOCKET ?? '';
  const directory = process.cwd();
  if (named !== '') return socketPath({ flag: named, env: {}, directory });
  try {
    return socketOf(await loadConfig('.'), options);
  } catch (thrown) {
    // A rollback must not fail for a config that was broken since.
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    output.detail(`the config of this folder is not asked for the socket: ${reason}`);
    return socketPath({ env: process.env, directory });
  }
}

async function connect(path: string): Promise<ControlClient> {
  try {
    return await ControlClient.connect(path);
  } catch (thrown) {
    if (!(thrown instanceof WireletError) || thrown.code !== 'WIRELET_E_NO_APPLIANCE') throw thrown;
    const others = await othersBeside(path);
    if (others.length === 0) throw thrown;
    throw new WireletError(thrown.code, thrown.message, {
      hint: `Running here: ${others.join(', ')}. Name one with --socket.`,
      cause: thrown,
    });
  }
}

/** Sockets of the same folder that answer. */
async function othersBeside(path: string): Promise<string[]> {
  const folder = dirname(path);
  const living: string[] = [];
  for (const name of namesIn(folder)) {
    const other = join(folder, name);
    const isOther = extname(name) === '.sock' && name !== basename(path);
    if (isOther && (await answers(other))) living.push(other);
  }
  return living;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch {
    return [];
  }
}
