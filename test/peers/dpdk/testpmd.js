// One run of testpmd, started and stopped by its prompt.
import { spawn } from 'node:child_process';
import { threadCpuNs, threads } from '../threads.js';

const PATIENCE_MS = 20_000;
const WARM_MS = 300;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** From the first start to the last stop its worker works: that thread's CPU time is taken. */
export async function runTestpmd([command, ...args], ms) {
  // Its output is a pipe, which it would fill before it writes.
  const child = spawn('stdbuf', ['-oL', command, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (part) => {
      text += part;
    });
  }
  const until = (pattern) => waitFor(pattern, child, () => text);
  const start = async (time) => {
    text = '';
    child.stdin.write('start\n');
    await sleep(time);
    child.stdin.write('stop\n');
    await until(/Done\./);
  };
  try {
    await until(/testpmd> /);
    await start(WARM_MS);
    const worker = threads(child.pid).find(({ name }) => /worker/.test(name));
    const look = () => ({ cpuNs: threadCpuNs(worker), ns: performance.now() * 1e6 });
    const before = look();
    await start(ms);
    const after = look();
    const result = { ...countsOf(text), cpuNs: after.cpuNs - before.cpuNs };
    child.stdin.write('quit\n');
    await new Promise((resolve) => child.once('close', resolve));
    return { ...result, ns: after.ns - before.ns };
  } finally {
    child.kill('SIGKILL');
  }
}

function countsOf(text) {
  const sums = /Accumulated forward statistics for all ports[\s\S]*?RX-packets: (\d+)/.exec(text);
  const ports = [...text.matchAll(/Forward statistics for port[\s\S]*?TX-packets: (\d+)/g)];
  return { packets: Number(sums[1]), sent: ports.map(([, count]) => Number(count)) };
}

async function waitFor(pattern, child, text) {
  const started = performance.now();
  for (;;) {
    const found = pattern.exec(text());
    if (found) return found;
    if (child.exitCode !== null || performance.now() - started > PATIENCE_MS) {
      throw new Error(`testpmd: ${text().trim().split('\n').slice(-3).join(' ')}`);
    }
    await sleep(10);
  }
}
