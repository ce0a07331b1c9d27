import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { type Appliance, createAppliance } from '../src/appliance.js';

const COUNT = fileURLToPath(new URL('../../programs/count', import.meta.url));

let appliance: Appliance | undefined;
afterEach(async () => {
  await appliance?.stop();
});

function blockLoop(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

it('a blocked event loop costs no packet', async () => {
  // The ring holds 0.4 s of packets: an lcore that waited for the host would miss many.
  const ports = { in: 'gen:?rate=20k&ring=8192', out: 'sink:' };
  const config = { frames: 16384, ports, forward: { in: 'out' }, programs: { count: COUNT } };
  appliance = await createAppliance(config, { env: {} });
  appliance.start();
  const before = appliance.stats().ports.in?.rx ?? 0;
  blockLoop(1500);
  const { rx = 0, xstats } = appliance.stats().ports.in ?? {};
  expect(rx - before).toBeGreaterThan(20_000);
  expect(xstats?.missed).toBe(0);
});
