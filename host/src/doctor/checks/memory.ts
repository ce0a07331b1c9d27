/** Memory: the region's, hugepages, mappings, and the folder of state that is kept. */
import type { Check } from '../check.js';
import type { Facts, FolderFacts, Hugepages } from '../facts.js';
import type { Needs } from '../needs.js';
import { bytesText, MIB } from '../size.js';

/** Pages that the region is made of where there are any. */
const HUGE_BYTES = 2 * MIB;
/** Mappings of Node.js, the compiler and the engine without a program: 1,300 at most (measured). */
const MAPPINGS_BASE = 1500;
/** Of an instance: 11 without tables, 15 with two (measured). */
const MAPPINGS_PER_INSTANCE = 16;
/** Generations at once: the one that runs, the one before it, and the next one. */
const GENERATIONS = 3;

export function checkMemory(facts: Facts, needs: Needs | undefined): Check[] {
  const region = needs ? [checkRegion(facts, needs)] : [];
  const checks = [...region, checkHugepages(facts, needs), checkMappings(facts, needs)];
  return [...checks, ...checkState(facts)];
}

/** Mappings that an appliance with these programs may have at once. */
export function plannedMappings(needs: Needs | undefined): number {
  return MAPPINGS_BASE + (needs?.instances ?? 0) * MAPPINGS_PER_INSTANCE * GENERATIONS;
}

function checkRegion(facts: Facts, { regionBytes, frameBytes, hugepages }: Needs): Check {
  const huge = hugepages ? freeBytes(hugepagesOf(facts)) : 0;
  const available = Math.max(facts.availableBytes, huge);
  const found = `${bytesText(regionBytes)} for frames, ${bytesText(available)} available`;
  if (regionBytes <= available) return { name: 'memory', state: 'ok', found };
  const frames = Math.floor(available / 2 / frameBytes);
  return { name: 'memory', state: 'missing', found, fix: `frames: ${frames} in the config` };
}

function checkHugepages(facts: Facts, needs: Needs | undefined): Check {
  const name = 'hugepages';
  if (needs?.hugepages === false) return { name, state: 'ok', found: 'not wanted by the config' };
  const pages = hugepagesOf(facts);
  const wanted = Math.ceil((needs?.regionBytes ?? HUGE_BYTES) / HUGE_BYTES);
  const found = facts.hugepages.map(hugepagesText).join(', ') || 'none in this kernel';
  if ((pages?.free ?? 0) >= wanted) return { name, state: 'ok', found };
  // Without them the region has small pages: slower to map, and more misses of the TLB.
  const total = (pages?.total ?? 0) - (pages?.free ?? 0) + wanted;
  const use = needs ? `; the region would take ${wanted} of 2 MiB` : '';
  const fix = `sysctl -w vm.nr_hugepages=${needs ? total : 64}`;
  return { name, state: 'warning', found: `${found}${use}`, fix };
}

function hugepagesOf(facts: Facts): Hugepages | undefined {
  return facts.hugepages.find(({ bytes }) => bytes === HUGE_BYTES);
}

function freeBytes(pages: Hugepages | undefined): number {
  return pages === undefined ? 0 : pages.free * pages.bytes;
}

/** `2 MiB: 3 of 64 free (node 0: 3)`. */
function hugepagesText({ bytes, total, free, nodes }: Hugepages): string {
  const size = bytesText(bytes).replace('.0', '');
  const parts = nodes.map((node) => `node ${node.node}: ${node.free}`).join(', ');
  return `${size}: ${free} of ${total} free${total === 0 || parts === '' ? '' : ` (${parts})`}`;
}

function checkMappings(facts: Facts, needs: Needs | undefined): Check {
  const name = 'vm.max_map_count';
  const planned = plannedMappings(needs);
  const found = `${facts.mappingsMax} mappings allowed, up to ${planned} planned`;
  if (facts.mappingsMax >= planned) return { name, state: 'ok', found };
  const limit = Math.max(262_144, 2 ** Math.ceil(Math.log2(planned)));
  return { name, state: 'missing', found, fix: `sysctl -w vm.max_map_count=${limit}` };
}

function checkState({ state, sharedMemory }: Facts): Check[] {
  if (state === undefined) {
    const found = `${bytesText(sharedMemory.freeBytes)} free, for state that is kept`;
    if (sharedMemory.memory) return [{ name: '/dev/shm', state: 'ok', found }];
    const fix = 'mount -t tmpfs tmpfs /dev/shm';
    return [{ name: '/dev/shm', state: 'warning', found: 'not on tmpfs', fix }];
  }
  return [{ name: 'kept state', ...stateOf(state) }];
}

function stateOf({ path, writable, memory, freeBytes }: FolderFacts): Omit<Check, 'name'> {
  const fix = 'state: { directory: ... } in the config: a writable folder on tmpfs';
  if (!memory) return { state: 'missing', found: `${path} is not on tmpfs`, fix };
  if (!writable) return { state: 'missing', found: `${path} is not writable`, fix };
  return { state: 'ok', found: `${path}: ${bytesText(freeBytes)} free` };
}
