/**
 * The compiler's thread: kept warm, one job at a time, under limits of time and memory.
 *
 * A warm compile costs a third of a cold one, so the thread outlives its job; idle, it does not
 * keep the process alive, so a CLI ends at once. asc crashing, exiting or looping ends the thread,
 * never the process, and the next job gets a new one.
 */
import { Worker } from 'node:worker_threads';
import { WireletError } from '../error.js';
import type { CompileJob, CompileReply } from './job.js';

/** A program of thousands of lines takes two seconds; what takes a minute will not end. */
const COMPILE_TIMEOUT_MS = 60_000;
/** asc and Binaryen need 150 MB for a small program. */
const HEAP_MIB_MAX = 1024;
/** asc keeps something of every compile: a new thread now and then gives it back. */
const JOBS_PER_THREAD_MAX = 200;
const STDERR_BYTES_KEPT = 4096;

interface Running {
  job: CompileJob;
  resolve: (reply: CompileReply) => void;
  reject: (error: WireletError) => void;
  timer: NodeJS.Timeout;
}

export interface CompilerOptions {
  timeoutMs?: number;
  heapMibMax?: number;
  /** The thread's script; tests put misbehaving ones here. */
  script?: URL;
}

export class Compiler {
  readonly #timeoutMs: number;
  readonly #heapMibMax: number;
  readonly #script: URL;
  #worker: Worker | null = null;
  #running: Running | null = null;
  #jobs = 0;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: CompilerOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? COMPILE_TIMEOUT_MS;
    this.#heapMibMax = options.heapMibMax ?? HEAP_MIB_MAX;
    this.#script = options.script ?? new URL('./worker.js', import.meta.url);
  }

  /** Starts the thread, so that asc loads while the caller does something else. */
  warm(): void {
    this.#worker ??= this.#start();
  }

  /** Compiles when the jobs before it are done. */
  compile(job: Omit<CompileJob, 'id'>): Promise<CompileReply> {
    const reply = this.#queue.then(() => this.#run({ ...job, id: ++this.#jobs }));
    this.#queue = reply.catch(() => undefined);
    return reply;
  }

  /** Ends the thread; a job under way fails. A later compile starts a new one. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    this.#fail('it was closed');
    await worker?.terminate();
  }

  async #run(job: CompileJob): Promise<CompileReply> {
    if (job.id % JOBS_PER_THREAD_MAX === 0) await this.close();
    this.#worker ??= this.#start();
    const worker = this.#worker;
    worker.ref();
    return new Promise<CompileReply>((resolve, reject) => {
      const expire = () => this.#abandon(`it took longer than ${this.#timeoutMs / 1000} s`);
      const timer = setTimeout(expire, this.#timeoutMs);
      this.#running = { job, resolve, reject, timer };
      worker.postMessage(job);
    });
  }

  #start(): Worker {
    const worker = new Worker(this.#script, {
      name: 'wirelet-compiler',
      stdout: true,
      stderr: true,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: this.#heapMibMax },
    });
    worker.on('message', (reply: CompileReply) => this.#settle(reply));
    worker.on('error', (error) => this.#lost(worker, error.message));
    worker.on('exit', (status) => this.#lost(worker, `it exited with status ${status}`));
    worker.unref();
    return worker;
  }

  #settle(reply: CompileReply): void {
    const running = this.#running;
    if (running?.job.id !== reply.id) return;
    this.#running = null;
    clearTimeout(running.timer);
    this.#worker?.unref();
    running.resolve(reply);
  }

  #lost(worker: Worker, why: string): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    this.#fail(why, outputOf(worker));
  }

  #abandon(why: string): void {
    const worker = this.#worker;
    this.#worker = null;
    this.#fail(why);
    void worker?.terminate();
  }

  #fail(why: string, output = ''): void {
    const running = this.#running;
    if (!running) return;
    this.#running = null;
    clearTimeout(running.timer);
    running.reject(compilerFailed(running.job.file, why, output));
  }
}

/** What the thread printed. Read at its end: listening would keep the process alive. */
function outputOf(worker: Worker): string {
  const chunk: unknown = worker.stderr.read();
  return chunk instanceof Buffer ? chunk.toString().slice(-STDERR_BYTES_KEPT) : '';
}

/** The error of a compile that ended without an answer. */
export function compilerFailed(file: string, why: string, output: string): WireletError {
  const message = `The compiler failed on ${file}: ${why}.`;
  return new WireletError('WIRELET_E_COMPILER_FAILED', message, {
    details: { file, output: output.trim() },
  });
}

let shared: Compiler | null = null;

/** The process's compiler; nothing starts before its first job. */
export function sharedCompiler(): Compiler {
  shared ??= new Compiler();
  return shared;
}

/** Ends the process's compiler, if there is one. */
export async function closeCompiler(): Promise<void> {
  await shared?.close();
  shared = null;
}
