// Which CPUs lcores get, and which control threads.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

export const CPU_COUNT = cpus().length;
export const LAST_CPU = CPU_COUNT - 1;
export const ALL_CPUS = `0-${LAST_CPU}`;

/**
 * Lets everything but the lcores run on these CPUs only. Wirelet leaves its control threads to the
 * scheduler; where it is measured what they cost an lcore, it needs a CPU for itself.
 *
 * Lcores may be pinned only to CPUs that the thread which starts them may use: `ALL_CPUS` until
 * they have started.
 */
export function placeControl(allowed) {
  const name = (task) => readFileSync(`/proc/self/task/${task}/comm`, 'utf8');
  for (const task of readdirSync('/proc/self/task')) {
    if (name(task).startsWith('wirelet-lcore')) continue;
    execFileSync('taskset', ['-p', '-c', allowed, task], { stdio: 'ignore' });
  }
}
