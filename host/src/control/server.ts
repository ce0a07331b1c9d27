/**
 * The control socket's listening side: bounded in clients, in bytes of a line and in time, and
 * whatever comes in, it is answered with a code.
 */
import { chmodSync, linkSync, lstatSync, mkdirSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { asWireletError, WireletError } from '../error.js';
import { answers } from './client.js';
import { linesOf } from './lines.js';
import { makeSocketFolder } from './path.js';
import { lineOf, parseRequest, REQUEST_BYTES_MAX, type Request } from './protocol.js';

/** Who asks for more waits outside. */
const CLIENTS_MAX = 32;
/** Of a client that neither asks nor waits. */
const IDLE_MS = 60_000;
/** How long a client may take to read what it asked for. */
const READ_MS = 10_000;
/** Owner and group: who may write to it drives the appliance. */
const SOCKET_MODE = 0o660;
/** Others that start at the same moment may take the name first. */
const CLAIM_MS_MAX = 5000;
/** To look at a socket and remove it takes a millisecond, or CONNECT_MS of one that hangs. */
const LOCK_MS_MAX = 30_000;
const LOCK_POLL_MS = 10;
/** For those bytes of a client that was told to go to be thrown away. */
const FAREWELL_MS = 1000;

/** Where a request's answer goes, but for the last line. */
export interface Sink {
  progress(text: string): void;
  /** Resolves when the client has room for more. */
  entries(entries: readonly Record<string, unknown>[]): Promise<void>;
  /** The client has left, which a write finds out: nobody reads this. */
  readonly gone: boolean;
  /** The client has ended its side: it asks for nothing more, and may still read. */
  readonly ended: boolean;
}

/** One client's. */
export interface Session {
  /** The result of `request`. @throws what becomes its error */
  handle(request: Request, sink: Sink): Promise<unknown>;
  /** What goes on until somebody ends it comes to its end, with an answer; false for nothing. */
  end?(): boolean;
  close(): void;
}

export interface ServerOptions {
  clientsMax?: number;
  idleMs?: number;
  readMs?: number;
}

export class ControlServer {
  readonly path: string;
  readonly #server: Server;
  readonly #clients = new Map<Socket, Client>();
  readonly #open: () => Session;
  readonly #limits: Required<ServerOptions>;
  #inode = 0;

  private constructor(path: string, open: () => Session, options: ServerOptions) {
    this.path = path;
    this.#open = open;
    this.#limits = { clientsMax: CLIENTS_MAX, idleMs: IDLE_MS, readMs: READ_MS, ...options };
    // A client may end its side first and still wait: the answer comes before our end.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => void this.#accept(socket));
    // One that fails to accept (too many open files) goes on listening.
    this.#server.on('error', () => {});
  }

  /**
   * Listens at `path`; the socket of an appliance that has died is replaced.
   * @throws WIRELET_E_CONTROL when a living one has it, or the path can't be used
   */
  static async listen(
    path: string,
    open: () => Session,
    options: ServerOptions = {},
  ): Promise<ControlServer> {
    const server = new ControlServer(path, open, options);
    makeSocketFolder(path);
    const folder = inFolder(path, () => mkdtempSync(join(dirname(path), '.w-')));
    try {
      await server.#listenIn(folder);
    } catch (thrown) {
      server.#server.close();
      throw thrown;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
    return server;
  }

  /** Takes no more requests, and leaves those whose answers are not ready. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await Promise.all([...this.#clients.values()].map((client) => client.end(FAREWELL_MS)));
    for (const socket of this.#clients.keys()) socket.destroy();
    await closed;
    // Somebody may have put another in its place.
    if (lstatSync(this.path, { throwIfNoEntry: false })?.ino === this.#inode) rmSync(this.path);
  }

  /**
   * Binds in a folder of our own, so that nobody connects before the mode is right, and gives the
   * socket its name then; a name is taken by one only.
   */
  async #listenIn(folder: string): Promise<void> {
    const own = join(folder, 's');
    await bind(this.#server, own);
    inFolder(own, () => chmodSync(own, SOCKET_MODE));
    this.#inode = lstatSync(own).ino;
    const deadline = performance.now() + CLAIM_MS_MAX;
    while (performance.now() < deadline) {
      if (inFolder(this.path, () => unlessThere(() => linkSync(own, this.path)))) return;
      await removeStale(this.path);
    }
    throw taken(this.path);
  }

  async #accept(socket: Socket): Promise<void> {
    socket.on('error', () => socket.destroy());
    if (this.#clients.size >= this.#limits.clientsMax) {
      const message = `${this.#limits.clientsMax} clients are connected, more are not served`;
      dismiss(socket, new WireletError('WIRELET_E_CONTROL', message));
      return;
    }
    const client = new Client(socket, this.#open(), this.#limits);
    this.#clients.set(socket, client);
    try {
      await client.serve();
    } finally {
      this.#clients.delete(socket);
    }
  }
}

/** One connection: its requests are answered one after the other. */
class Client implements Sink {
  readonly #socket: Socket;
  readonly #session: Session;
  readonly #readMs: number;
  #busy = false;
  #id = 0;
  /** Resolves when the answer under way is written. */
  #answered: Promise<void> = Promise.resolve();

  constructor(socket: Socket, session: Session, limits: Required<ServerOptions>) {
    this.#socket = socket;
    this.#session = session;
    this.#readMs = limits.readMs;
    socket.setTimeout(limits.idleMs, () => {
      if (!this.#busy) socket.destroy();
    });
  }

  get gone(): boolean {
    return this.#socket.destroyed;
  }

  get ended(): boolean {
    // Nobody reads while an answer is under way: this takes nothing, and finds an end.
    this.#socket.read(0);
    return this.#socket.readableEnded;
  }

  /** Ends what goes on without an end, and gives its answer time to go. */
  async end(timeoutMs: number): Promise<void> {
    if (!this.#busy || !this.#session.end?.()) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.#answered, late]);
    clearTimeout(timer);
  }

  async serve(): Promise<void> {
    try {
      for await (const line of linesOf(this.#socket, REQUEST_BYTES_MAX)) {
        if (line.trim() === '') continue;
        this.#busy = true;
        this.#answered = this.#answer(line).then((answer) => this.#write(answer));
        await this.#answered;
        this.#busy = false;
      }
      this.#socket.end();
    } catch (thrown) {
      // Bytes that are no lines, or a connection that broke: there is no going on.
      dismiss(this.#socket, thrown);
    } finally {
      this.#session.close();
    }
  }

  progress(text: string): void {
    void this.#write({ id: this.#id, progress: text });
  }

  entries(entries: readonly Record<string, unknown>[]): Promise<void> {
    return this.#write({ id: this.#id, entries });
  }

  async #answer(line: string): Promise<Record<string, unknown>> {
    let id: number | null = null;
    try {
      const request = parseRequest(line);
      id = request.id;
      this.#id = id;
      return { id, result: (await this.#session.handle(request, this)) ?? null };
    } catch (thrown) {
      return failure(id ?? idOf(thrown), thrown);
    }
  }

  async #write(message: Record<string, unknown>): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed || socket.write(textOf(message))) return;
    const timer = setTimeout(() => socket.destroy(), this.#readMs);
    await new Promise<void>((resolve) => {
      const done = () => {
        socket.off('drain', done).off('close', done);
        resolve();
      };
      socket.on('drain', done).on('close', done);
    });
    clearTimeout(timer);
  }
}

/** Says why and ends; what still comes is thrown away, or the reason might not arrive. */
function dismiss(socket: Socket, thrown: unknown): void {
  if (socket.destroyed) return;
  socket.end(lineOf(failure(null, thrown)));
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
  socket.once('close', () => clearTimeout(timer));
}

/** A result that is no JSON is a bug, and still an answer. */
function textOf(message: Record<string, unknown>): string {
  try {
    return lineOf(message);
  } catch (thrown) {
    return lineOf(failure(null, thrown));
  }
}

function failure(id: number | null, thrown: unknown): Record<string, unknown> {
  return { id, error: asWireletError(thrown).toJSON() };
}

/** Of a request whose envelope could be read. */
function idOf(thrown: unknown): number | null {
  const { id } = asWireletError(thrown).details;
  return typeof id === 'number' ? id : null;
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) =>
      reject(new WireletError('WIRELET_E_CONTROL', `${path}: ${cause.message}`, { cause }));
    server.once('error', failed);
    server.listen(path, () => {
      server.off('error', failed);
      resolve();
    });
  });
}

/** False when `make` finds its name taken. */
function unlessThere(make: () => void): boolean {
  try {
    make();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Takes the socket of a dead appliance away; one process at a time, or the second would take away
 * what the first has put in its place. Nobody else needs that lock: a name is linked once.
 */
async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    const message = `${path} is there and is no socket`;
    throw new WireletError('WIRELET_E_CONTROL', message, { hint: 'Name another with --socket.' });
  }
  const lock = `${path}.lock`;
  if (!takeLock(lock)) {
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
    return;
  }
  try {
    if (await answers(path)) throw taken(path);
    rmSync(path, { force: true });
  } finally {
    rmdirSync(lock);
  }
}

/** False while somebody else has it; one whose owner was killed is nobody's after a while. */
function takeLock(lock: string): boolean {
  const made = inFolder(lock, () => lstatSync(lock, { throwIfNoEntry: false })?.mtimeMs);
  if (made !== undefined && Date.now() - made > LOCK_MS_MAX) rmSync(lock, { recursive: true });
  return inFolder(lock, () => unlessThere(() => mkdirSync(lock, { mode: 0o700 })));
}

function taken(path: string): WireletError {
  return new WireletError('WIRELET_E_CONTROL', `${path} belongs to an appliance that runs`);
}

function inFolder<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WireletError('WIRELET_E_CONTROL', `${basename(path)}: ${reason}`, { cause });
  }
}
