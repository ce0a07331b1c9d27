// What this machine can do, measured in the process that then loads it: rates and stalls.
import { createRequire } from 'node:module';
import { loadProgram } from '../../host/dist/index.js';
import { encodeSettings } from '../../host/dist/settings.js';

const { Runner } = createRequire(import.meta.url)('../../host/wirelet.node');
const ROUNDS = 3;
const WARM_MS = 100;
const PATIENCE_MS = 20_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Keeps this thread, and so the event loop, for itself. */
export function block(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

/**
 * Packets per second that leave by each of `ports` while the host does `work`, the least of three
 * short runs: CPUs of one core share it, and a host that works takes its part.
 */
export async function measureRates(create, ports, work) {
  const runs = [];
  for (let round = 0; round < ROUNDS; round++) {
    const appliance = await create();
    appliance.start();
    const sent = () => ports.map((port) => appliance.stats().ports[port].tx);
    // On a busy machine its lcore may need long to begin: that is no rate.
    const patience = performance.now() + PATIENCE_MS;
    while (sent().includes(0) && performance.now() < patience) await sleep(WARM_MS);
    await sleep(WARM_MS);
    const [before, started] = [sent(), performance.now()];
    await work(appliance);
    const [after, seconds] = [sent(), (performance.now() - started) / 1000];
    runs.push(ports.map((_, port) => (after[port] - before[port]) / seconds));
    await appliance.stop();
  }
  return ports.map((_, port) => Math.floor(Math.min(...runs.map((rates) => rates[port]))));
}

/** Rounds of the loop of `source` that take `stallMs` here; `settings` asks for so many rounds. */
export async function measureLoops(source, settings, stallMs) {
  const { wasm } = await loadProgram(source);
  const loops = 1_000_000;
  const page = encodeSettings(settings(loops));
  const times = [];
  for (let run = 0; run < 9; run++) {
    // A new instance each time: some stall on their first burst only.
    const config = { name: 'stall', wasm, settings: page, deadlineNs: 2e8, onFault: 'drop' };
    const runner = new Runner(config);
    const started = performance.now();
    runner.run([new Uint8Array(64)], [0]);
    times.push(performance.now() - started);
    runner.close();
  }
  return Math.ceil((loops * stallMs) / times.sort((a, b) => a - b)[4]);
}
