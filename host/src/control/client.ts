/** The control socket's asking side: what verbs, and other programs, talk to an appliance with. */
import { createConnection, type Socket } from 'node:net';
import { WireletError } from '../error.js';
import { linesOf } from './lines.js';
import { refuseForeign } from './path.js';
import {
  errorOf,
  lineOf,
  type Method,
  type Params,
  PROTOCOL_VERSION,
  REPLY_BYTES_MAX,
  type Reply,
  replySchema,
} from './protocol.js';

/** A socket that does not let us in by then has a queue of others before us. */
const CONNECT_MS = 5000;
/** No path without these is ever connected to: nobody listens there. */
const NOBODY = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTSOCK', 'ENOTDIR']);

export interface AskOptions {
  onProgress?: (text: string) => void;
  onEntries?: (entries: Record<string, unknown>[]) => void | Promise<void>;
}

/**
 * A connection to an appliance.
 *
 * ```ts
 * const client = await ControlClient.connect('/run/wirelet/dns.sock');
 * const status = await client.ask('status', {});
 * client.close();
 * ```
 */
export class ControlClient {
  readonly #socket: Socket;
  readonly #replies: AsyncGenerator<string>;
  #id = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#replies = linesOf(socket, REPLY_BYTES_MAX);
    // What ends a connection is said by the read that it ends.
    socket.on('error', () => {});
  }

  /** @throws WIRELET_E_NO_APPLIANCE when nobody listens at `path`, WIRELET_E_CONTROL */
  static async connect(path: string): Promise<ControlClient> {
    refuseForeign(path);
    return new ControlClient(await connected(path));
  }

  /**
   * The result of `method`; one call at a time.
   * @throws the appliance's error, or WIRELET_E_CONTROL when it is gone before it answers
   */
  async ask<M extends Method>(
    method: M,
    params: Params<M>,
    options: AskOptions = {},
  ): Promise<unknown> {
    const id = ++this.#id;
    this.#socket.write(lineOf({ version: PROTOCOL_VERSION, id, method, params }));
    for (;;) {
      const { error, progress, entries, result } = await this.#read(method);
      if (error) throw errorOf(error);
      if (progress !== undefined) options.onProgress?.(progress);
      else if (entries) await options.onEntries?.(entries);
      else return result;
    }
  }

  /** Asks for nothing more: what goes on without an end ends, and its result comes. */
  end(): void {
    this.#socket.end();
  }

  close(): void {
    this.#socket.destroy();
  }

  async #read(method: Method): Promise<Reply> {
    const line = await this.#replies.next().catch((cause: unknown) => {
      throw cause instanceof WireletError ? cause : gone(method, cause);
    });
    if (line.done) throw gone(method);
    const parsed = replySchema.safeParse(parseJson(line.value));
    if (parsed.success) return parsed.data;
    const message = `the answer to ${method} is none: is that socket Wirelet's?`;
    throw new WireletError('WIRELET_E_CONTROL', message);
  }
}

/** Whether somebody listens at `path`; who is there and does not let us in counts. */
export async function answers(path: string): Promise<boolean> {
  try {
    (await connected(path)).destroy();
    return true;
  } catch (thrown) {
    return !(thrown instanceof WireletError && thrown.code === 'WIRELET_E_NO_APPLIANCE');
  }
}

function connected(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    const fail = (error: WireletError) => {
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => {
      const message = `${path} did not answer in ${CONNECT_MS / 1000} s`;
      fail(new WireletError('WIRELET_E_CONTROL', message));
    }, CONNECT_MS);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      fail(connectError(path, cause));
    });
  });
}

function connectError(path: string, cause: NodeJS.ErrnoException): WireletError {
  if (NOBODY.has(cause.code ?? '')) {
    return new WireletError('WIRELET_E_NO_APPLIANCE', `nobody listens at ${path}`, { cause });
  }
  const denied = cause.code === 'EACCES' || cause.code === 'EPERM';
  const hint = 'The socket is for its owner and its group: use `sudo`, or join the group.';
  return new WireletError('WIRELET_E_CONTROL', `${path}: ${cause.message}`, {
    cause,
    ...(denied ? { hint } : {}),
  });
}

function gone(method: Method, cause?: unknown): WireletError {
  const message = `the appliance ended before it answered ${method}`;
  return new WireletError('WIRELET_E_CONTROL', message, {
    hint: 'See its output for the reason.',
    cause,
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
