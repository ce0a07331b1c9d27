/** Child processes and the lines that say how far the work is. */
import { spawn } from 'node:child_process';

/** Runs a command with our output as its own; rejects when it does not end with status 0. */
export function run(command, args, options = {}) {
  const { child, ended } = start(command, args, { stdio: ['ignore', 2, 2], ...options });
  const forward = (signal) => child.kill(signal);
  process.once('SIGTERM', forward);
  return ended
    .then((status) => {
      if (status !== 0) throw new Error(`\`${[command, ...args].join(' ')}\` ended with ${status}`);
    })
    .finally(() => process.off('SIGTERM', forward));
}

/**
 * Runs a command, shows its standard output as it comes (unless `silent`), and gives it back with
 * the status.
 */
export async function runAndKeep(command, args, { silent = false, ...options } = {}) {
  const stdio = ['ignore', 'pipe', 2];
  const { child, ended } = start(command, args, { stdio, ...options });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
    if (!silent) process.stdout.write(text);
  });
  return { status: await ended, output };
}

function start(command, args, options) {
  const child = spawn(command, args, options);
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve(signal ?? status));
  });
  return { child, ended };
}

/** One line when a step begins and one when it ends, with its time. */
export async function step(name, work) {
  const started = performance.now();
  process.stderr.write(`setup: ${name} ...\n`);
  await work();
  process.stderr.write(`setup: ${name}: done in ${seconds(started)}\n`);
}

export function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}
