/** CPUs against lcores. */
import type { Check } from '../check.js';
import type { Facts } from '../facts.js';
import type { Needs } from '../needs.js';

export function checkCpus(facts: Facts, needs: Needs | undefined): Check[] {
  return [
    checkLcores(facts, needs),
    ...checkNodes(facts, needs),
    ...checkIsolation(facts, needs),
    ...checkGovernor(facts),
  ];
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

/** Where CPUs or NICs are on several nodes: an lcore far from its NIC is slower. */
function checkNodes({ numa, cpus }: Facts, needs: Needs | undefined): Check[] {
  if (numa.nodes.length < 2 || needs === undefined || numa.ports.length === 0) return [];
  const name = 'NUMA';
  const found = numa.ports.map(({ port, node }) => `${port}: node ${node}`).join(', ');
  const wanted = new Set(numa.ports.map(({ node }) => node));
  const near = numa.nodes.filter(({ node }) => wanted.has(node)).flatMap((node) => node.cpus);
  const usable = near.filter((cpu) => cpus.includes(cpu)).slice(0, needs.lcores.length);
  const fix = `lcores: [${usable.join(', ')}] in the config`;
  if (wanted.size > 1) {
    const two = 'two appliances, each with the ports and CPUs of one node';
    return [{ name, state: 'warning', found: `${found}; NICs are on several nodes`, fix: two }];
  }
  // The kernel may put lcores that nobody pins anywhere.
  const far = needs.lcores.filter((cpu) => !near.includes(cpu));
  if (far.length === 0) return [{ name, state: 'ok', found }];
  const pinned = far.filter((cpu) => cpu >= 0);
  const where = pinned.length === 0 ? 'lcores are on any' : `CPU ${ranges(pinned)} is on another`;
  return [{ name, state: 'warning', found: `${found}; ${where}`, fix }];
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
