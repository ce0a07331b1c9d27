/** One set-up at a time: a file that names the process which holds it. */
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 200;
/** Taking over a dead holder's lock takes microseconds; older attempts are dead themselves. */
const TAKEOVER_MAX_MS = 10_000;

/** Runs `work` while no other process of this machine does; waits for one that does. */
export async function withLock(file, work) {
  mkdirSync(dirname(file), { recursive: true });
  let announced = false;
  while (!acquire(file)) {
    if (!announced)
      process.stderr.write(`setup: waiting for process ${holder(file)}, which does it\n`);
    announced = true;
    await sleep(POLL_MS);
  }
  const release = () => rmSync(file, { force: true });
  process.on('exit', release);
  try {
    return await work();
  } finally {
    release();
    process.off('exit', release);
  }
}

function acquire(file) {
  if (create(file)) return true;
  const pid = holder(file);
  // An empty file is one between its creation and its first write.
  if (pid === undefined || isAlive(pid)) return false;
  takeOver(file, pid);
  return false;
}

/** Removes a dead holder's lock; a second lock keeps two of us from removing each other's. */
function takeOver(file, pid) {
  const guard = `${file}.takeover`;
  if (!create(guard)) {
    if (ageMs(guard) > TAKEOVER_MAX_MS) rmSync(guard, { force: true });
    return;
  }
  if (holder(file) === pid) rmSync(file, { force: true });
  rmSync(guard, { force: true });
}

function create(file) {
  try {
    writeFileSync(file, `${process.pid}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  }
}

function holder(file) {
  try {
    const pid = Number.parseInt(readFileSync(file, 'utf8'), 10);
    return Number.isInteger(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function ageMs(file) {
  try {
    return Date.now() - statSync(file).mtimeMs;
  } catch {
    return 0;
  }
}
