/**
 * The thread that runs asc. One job at a time; what it reads comes from disk, what it writes goes
 * back in the reply. asc may crash, call process.exit or never return: that ends this thread only.
 *
 * Plain JavaScript, checked by TypeScript: see entry.js.
 *
 * @typedef {import('./job.js').CompileJob} CompileJob
 */
import { parentPort } from 'node:worker_threads';
import { AscRun } from './asc-run.js';

/** Jobs that follow one another come faster: then nothing is begun for nobody. */
const IDLE_MS = 30;

/** Begun for the job that is expected: the same program again. */
let next = /** @type {AscRun | null} */ (null);
/** @type {NodeJS.Timeout | undefined} */
let idle;

parentPort?.on('message', async (/** @type {CompileJob} */ job) => {
  clearTimeout(idle);
  const run = next?.suits(job) ? next : new AscRun(job);
  if (run !== next) next?.abandon();
  next = null;
  parentPort?.postMessage(await run.go(job));
  idle = setTimeout(() => {
    next = new AscRun(job);
  }, IDLE_MS);
});
