/** CPUs against lcores. */
import type { Check } from '../check.js';
import type { Facts } from '../facts.js';
import type { Needs } from '../needs.js';

export function checkCpus(facts: Facts, needs: Needs | undefined): Check[] {
  return [checkLcores(facts, needs), ...checkIsolation(facts, needs), ...checkGovernor(facts)];
}

function checkLcores({ cpus }: Facts, needs: Needs | undefined): Check {
  const name = 'CPUs';
  const usable = `${cpus.length} usable (${ranges(cpus)})`;
  if (needs === undefined) return { name, state: 'ok', found: usable };
  const { lcores } = needs;
  const foreign = lcores.filter((cpu) => cpu >= 0 && !cpus.includes(cpu));
  const found = `${usable}, ${lcores.length} ${lcores.length === 1 ? 'lcore' : 'lcores'}`;
  if (foreign.length > 0) {
    const fix = `lcores: [${cpus.slice(0, lcores.length).join(', ')}] in the config`;
    return { name, state: 'missing', found: `${found}; none is CPU ${foreign.join(', ')}`, fix };
  }
  if (lcores.length > cpus.length) {
    return { name, state: 'warning', found, fix: `lcores: ${cpus.length} in the config` };
  }
  return { name, state: 'ok', found };
}

/** Only who spins on CPUs of its own gains by it. */
function checkIsolation({ isolatedCpus }: Facts, needs: Needs | undefined): Check[] {
  const pinned = needs?.lcores.filter((cpu) => cpu >= 0) ?? [];
  if (needs?.idle !== 'poll' || pinned.length === 0) return [];
  const shared = pinned.filter((cpu) => !isolatedCpus.includes(cpu));
  const name = 'isolated CPUs';
  const found = isolatedCpus.length === 0 ? 'none' : ranges(isolatedCpus);
  if (shared.length === 0) return [{ name, state: 'ok', found }];
  const fix = `isolcpus=${ranges(pinned)} on the kernel's command line`;
  return [{ name, state: 'warning', found: `${found}; others may run where lcores spin`, fix }];
}

function checkGovernor({ governors }: Facts): Check[] {
  if (governors.length === 0) return [];
  const name = 'CPU governor';
  const found = governors.join(', ');
  if (governors.every((governor) => governor === 'performance')) {
    return [{ name, state: 'ok', found }];
  }
  return [{ name, state: 'warning', found, fix: 'cpupower frequency-set -g performance' }];
}

/** `0-3,8`. */
export function ranges(cpus: readonly number[]): string {
  const parts: [number, number][] = [];
  for (const cpu of cpus.toSorted((a, b) => a - b)) {
    const last = parts.at(-1);
    if (last && cpu === last[1] + 1) last[1] = cpu;
    else parts.push([cpu, cpu]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}
