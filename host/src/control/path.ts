/** Where the control socket of an appliance lies: the same rule for the appliance and for verbs. */
import { lstatSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { nameOf } from '../config/resolve.js';
import { WireletError } from '../error.js';
import { makeFolder } from '../folder.js';

/** `sun_path` of a unix socket has 108 bytes, the last of them 0. */
const PATH_BYTES_MAX = 107;

export interface SocketRequest {
  /** `--socket`. */
  flag?: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  /** The config's, absolute; false for none. */
  config?: string | false | undefined;
  /** The config's folder: its name is the appliance's. */
  directory: string;
}

/** The path, or false when the config wants no socket. Flag, environment, config, default. */
export function socketPath({ flag, env, config, directory }: SocketRequest): string | false {
  const given = flag ?? (env.WIRELET_SOCKET || undefined);
  if (given !== undefined) return checkedLength(resolve(given));
  if (config !== undefined) return config === false ? false : checkedLength(config);
  return checkedLength(join(defaultFolder(env), `${nameOf(resolve(directory))}.sock`));
}

/** The folder of sockets whose path nobody has named. */
export function defaultFolder(env: Readonly<Record<string, string | undefined>>): string {
  if (env.XDG_RUNTIME_DIR) return join(env.XDG_RUNTIME_DIR, 'wirelet');
  if (userId() === 0) return '/run/wirelet';
  return join(tmpdir(), `wirelet-${userId()}`);
}

/** Where packets of faults lie unless the config says so: beside the socket, by its name. */
export function defaultFaultFolder(socket: string): string {
  return join(dirname(socket), 'faults', basename(socket, '.sock'));
}

/** Makes the folder of `path`, for the user alone, or as /run wants it for root's. */
export function makeSocketFolder(path: string): void {
  const folder = dirname(path);
  try {
    makeFolder(folder, folder === '/run/wirelet' ? 0o755 : 0o700);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WireletError('WIRELET_E_CONTROL', `${folder}: ${reason}`, { cause });
  }
  refuseForeign(path);
}

/**
 * In a folder that anybody may write to, somebody else may have made ours first.
 * @throws WIRELET_E_CONTROL
 */
export function refuseForeign(path: string): void {
  const folder = dirname(path);
  if (folder !== join(tmpdir(), `wirelet-${userId()}`)) return;
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isDirectory() && found.uid === userId() && (found.mode & 0o077) === 0) return;
  const message = `${folder} is not a folder of this user alone`;
  throw new WireletError('WIRELET_E_CONTROL', message, {
    hint: 'Remove it, or name another place with --socket.',
  });
}

function checkedLength(path: string): string {
  if (Buffer.byteLength(path) <= PATH_BYTES_MAX) return path;
  const message = `${path} has more than ${PATH_BYTES_MAX} bytes, which no unix socket can have`;
  throw new WireletError('WIRELET_E_CONTROL', message, {
    hint: 'Name a shorter path with --socket, WIRELET_SOCKET or `control.socket`.',
  });
}

function userId(): number {
  return process.getuid?.() ?? 0;
}
