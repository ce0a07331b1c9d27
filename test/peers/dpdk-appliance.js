// One run of ours for dpdk.js, in a process of its own because EAL starts once in one:
// `dpdk-appliance.js CONFIG SECONDS` prints packets and the CPU time that its lcore took for them.
import { createAppliance } from '../../host/dist/index.js';
import { threadCpuNs, threads } from './threads.js';

const [config, seconds] = process.argv.slice(2);
const WARM_MS = 300;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

const appliance = await createAppliance(JSON.parse(config), { env: {} });
appliance.start();
await sleep(WARM_MS);
const lcore = threads(process.pid).find(({ name }) => name === 'wirelet-lcore0');
const look = () => {
  const { ports } = appliance.stats();
  const packets = Object.values(ports).reduce((sum, { tx }) => sum + tx, 0);
  return { packets, cpuNs: threadCpuNs(lcore), ns: performance.now() * 1e6 };
};
const before = look();
await sleep(Number(seconds) * 1000);
const after = look();
const { ports } = await appliance.stop();
const dropped = Object.values(ports).reduce((sum, port) => sum + port.dropped, 0);
if (dropped > 0) throw new Error(`${dropped} packets were dropped`);
const spent = Object.entries(after).map(([name, value]) => [name, value - before[name]]);
process.stdout.write(`${JSON.stringify(Object.fromEntries(spent))}\n`);
