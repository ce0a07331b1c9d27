// The appliance that churns a table of a million flows, and how its tables are read.
import { fileURLToPath } from 'node:url';
import { createAppliance } from '../../host/dist/index.js';

export const source = (name) => fileURLToPath(new URL(name, import.meta.url));

/** One lcore as fast as it can; with `directory`, its state is kept there. */
export function churning(directory) {
  return createAppliance({
    ports: { in: 'gen:?rate=max&flows=16', out: 'null:' },
    forward: { in: 'out' },
    programs: { churn: source('churn') },
    ...(directory ? { state: { persist: true, directory } } : {}),
  });
}

/** Packets that the program has seen, by its own clock. */
export function clockOf(appliance) {
  return Number(appliance.tables.get('churn/clock', 0)[0]);
}

/** Every entry of the flows, while they are written or not. */
export async function* flowsOf(appliance) {
  for await (const { key, value } of appliance.tables.entries('churn/flows')) {
    yield { key, step: value.step, check: value.check };
  }
}

/** All entries of the flows at once, and the clock before and after. */
export async function readFlows(appliance) {
  const first = clockOf(appliance);
  const entries = [];
  for await (const entry of flowsOf(appliance)) entries.push(entry);
  return { entries, first, last: clockOf(appliance) };
}
