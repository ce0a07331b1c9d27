// Threads of a process, and the CPU time of each: where cores are shared, that is what a packet
// costs, and the clock on the wall is not.
import { readdirSync, readFileSync } from 'node:fs';

export function threads(pid) {
  return readdirSync(`/proc/${pid}/task`).map((task) => {
    const path = `/proc/${pid}/task/${task}`;
    return { path, name: readFileSync(`${path}/comm`, 'utf8').trim() };
  });
}

/** Nanoseconds on a CPU (Documentation/scheduler/sched-stats.rst). */
export function threadCpuNs({ path }) {
  return Number(readFileSync(`${path}/schedstat`, 'utf8').split(' ')[0]);
}
