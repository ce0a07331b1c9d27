/**
 * An appliance of its own process, for `test/dpdk-rules.test.ts`: runs the config that is its
 * argument until `packets` of them are accounted for, and prints its statistics.
 */
import { createAppliance } from '../../host/dist/index.js';

const PATIENCE_MS = 20_000;
const { config, directory, packets } = JSON.parse(process.argv[2] ?? '');

/** What hardware drops is a hit of its rule, and else nowhere. */
function accounted({ wire }) {
  const dropped = (wire.rules?.hits ?? []).filter(({ rule }) => rule.endsWith(': drop'));
  const inHardware = wire.rules?.where === 'hardware' ? dropped : [];
  return inHardware.reduce((sum, hit) => sum + (hit.packets ?? 0), wire.rx);
}

try {
  const appliance = await createAppliance(config, { directory, env: {} });
  appliance.start();
  const started = performance.now();
  while (accounted(appliance.stats().ports) < packets) {
    if (performance.now() - started > PATIENCE_MS) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { ports, framesUsed } = await appliance.stop();
  console.log(
    JSON.stringify({ wire: ports.wire, framesUsed }, (_, value) =>
      typeof value === 'bigint' ? Number(value) : value,
    ),
  );
} catch (error) {
  console.log(JSON.stringify({ error: { code: error.code, message: error.message } }));
}
