// One run of ours for run.js, in a process of its own because EAL starts once in one:
// `appliance.js CONFIG MS [ROUTES]` prints packets received, sent by each port, and the time that
// its lcore took for them. ROUTES, `address length hop` a line, fill l3fwd's table.
import { readFileSync } from 'node:fs';
import { createAppliance } from '../../../host/dist/index.js';
import { threadCpuNs, threads } from '../threads.js';
import { prefixText } from './traffic.js';

const [config, ms, routesFile] = process.argv.slice(2);
const WARM_MS = 300;
const sleep = (time) => new Promise((done) => setTimeout(done, time));

function routesOf(text) {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [address, length, hop] = line.split(' ').map(Number);
      return { key: prefixText({ address, length }), value: hop };
    });
}

const appliance = await createAppliance(JSON.parse(config), { env: {} });
appliance.start();
if (routesFile) {
  await appliance.tables.replace('l3fwd/routes', routesOf(readFileSync(routesFile, 'utf8')));
}
await sleep(WARM_MS);
const lcore = threads(process.pid).find(({ name }) => name === 'wirelet-lcore0');
const look = () => {
  const ports = Object.values(appliance.stats().ports);
  return { ports, cpuNs: threadCpuNs(lcore), ns: performance.now() * 1e6 };
};
const before = look();
await sleep(Number(ms));
const after = look();
await appliance.stop();
const since = (name) => after.ports.map((port, i) => port[name] - before.ports[i][name]);
const result = {
  packets: since('rx').reduce((sum, count) => sum + count, 0),
  sent: since('tx'),
  cpuNs: after.cpuNs - before.cpuNs,
  ns: after.ns - before.ns,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
