// Inside the lab's machine: an appliance over its two NICs, told what to do by lines on the
// console. Says `lab: <word>` when something is done.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';
import { addAddresses, filters, received, SETTLE_MS, sendAll, tapConfig } from './tap-guest.js';

const WIRELET = '/wirelet/host/bin/wirelet.js';
const SOCKET = '/run/lab.sock';
const [a, b] = process.argv.slice(2);
const say = (...words) => console.log(['lab:', ...words].join(' '));

const EAL = ['--log-level=lib.eal:debug', '--in-memory', '--iova-mode=va'];
const NO_DEVICE = ['-a', '0000:00:00.0', '-m', '128'];
const MACSWAP = {
  lcores: 1,
  ports: { a: `dpdk:${a}?rxd=512&txd=512`, b: `dpdk:${b}?rxd=512&txd=512` },
  forward: { a: 'b', b: 'a' },
  programs: { app: { source: './testpmd.wasm', redirectTo: ['a', 'b'] } },
  dpdk: { eal: [...EAL, ...NO_DEVICE] },
};

/**
 * Two lcores; ports that are not paired and have one queue sit on different ones. EAL has its
 * defaults.
 */
const flows = (affinity, queues) => ({
  lcores: 2,
  ports: {
    a: { device: `dpdk:${a}?rxd=512&txd=512`, queues },
    b: { device: `dpdk:${b}?rxd=512&txd=512`, queues },
  },
  programs: { app: { source: './where.wasm', redirectTo: ['a', 'b'], affinity } },
});

function configure(config) {
  const whole = { frames: 4096, pipeline: ['app'], ...config };
  writeFileSync('/lab/wirelet.config.json', JSON.stringify(whole));
}

function start(...args) {
  const child = spawn(process.execPath, [WIRELET, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const process_ = { child, stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    process_.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    process_.stderr += text;
    process.stdout.write(text);
  });
  process_.ended = new Promise((done) => child.once('close', (code) => done(code)));
  return process_;
}

let appliance;
/** How often a NIC of this one was put back. */
let opened;

async function until(condition) {
  while (!condition()) await new Promise((done) => setTimeout(done, 100));
}

async function run() {
  opened = 0;
  appliance = start('run', '/lab', '--socket', SOCKET, '--json');
  while (!appliance.stderr.includes(' running')) {
    if (appliance.child.exitCode !== null) {
      say('failed', appliance.stdout);
      process.exit(1);
    }
    await new Promise((done) => setTimeout(done, 100));
  }
  say('running');
}

const ACTIONS = {
  async swap() {
    const swap = start('swap', 'app', '/lab/l2fwd.wasm', '--socket', SOCKET);
    say('swapped', await swap.ended);
  },
  async status() {
    const status = start('status', '--socket', SOCKET, '--json');
    await status.ended;
    say('status', status.stdout.trim());
  },
  async doctor() {
    const doctor = start('doctor', '/lab', '--json');
    await doctor.ended;
    say('doctor', doctor.stdout.trim());
  },
  async stop() {
    appliance.child.kill('SIGINT');
    const status = await appliance.ended;
    say('report', appliance.stdout.trim());
    say('stopped', status);
  },
  /** A NIC that was plugged in: bound as init.sh does it, and then it is the appliance's. */
  async bind() {
    const device = `/sys/bus/pci/devices/${a}`;
    await until(() => existsSync(`${device}/driver_override`));
    writeFileSync(`${device}/driver_override`, 'vfio-pci');
    // Files of a device come before it can have a driver.
    await until(() => {
      writeFileSync('/sys/bus/pci/drivers_probe', a);
      return existsSync(`${device}/driver`);
    });
    say('bound', basename(readlinkSync(`${device}/driver`)));
    opened++;
    await until(() => appliance.stderr.split('a: open again').length > opened);
    say('open');
  },
  /** The first time and again: what a clean stop is for. */
  async again() {
    configure(MACSWAP);
    await run();
  },
  async flows(affinity, queues) {
    configure(flows(affinity, Number(queues)));
    await run();
  },
  /** Physical addresses: frames lie in hugepages, and fill them without a rest. */
  async physical() {
    const eal = ['--in-memory', '--iova-mode=pa', ...NO_DEVICE];
    configure({ ...MACSWAP, frameBytes: 4096, hugepages: true, dpdk: { eal } });
    await run();
  },
  /** With addresses of this kind, and frames of 2,240 bytes, it must not start. */
  async refuse(mode) {
    configure({ ...MACSWAP, dpdk: { eal: ['--in-memory', `--iova-mode=${mode}`, ...NO_DEVICE] } });
    const refused = start('run', '/lab', '--socket', SOCKET, '--json');
    say('status', await refused.ended);
    say('refused', refused.stdout.trim());
  },
  /** An appliance on DPDK's tap, and what it has received of what the kernel sent. */
  async tap(text) {
    const { offload, rules, packets } = JSON.parse(text);
    configure(tapConfig(offload, rules));
    await run();
    addAddresses(packets.vlans.filter((vlan) => vlan > 0));
    say('filters', JSON.stringify(filters()));
    await sendAll(packets);
    await new Promise((done) => setTimeout(done, SETTLE_MS));
    await ACTIONS.stop();
    say('received', JSON.stringify(await received()));
    say('left', JSON.stringify(filters()));
  },
  end() {
    process.exit(0);
  },
};

/** What each thread of the appliance does: its name, its state, what it waits for in the kernel. */
function threads() {
  const tasks = `/proc/${appliance?.child.pid}/task`;
  if (!appliance || !existsSync(tasks)) return [];
  return readdirSync(tasks).map((task) => {
    const [name, stat, wait] = ['comm', 'stat', 'wchan'].map((file) => {
      return readFileSync(`${tasks}/${task}/${file}`, 'utf8').trim();
    });
    return `${name} ${stat.slice(stat.lastIndexOf(')') + 2)[0]} ${wait}`;
  });
}

let turn = Promise.resolve();
createInterface({ input: process.stdin }).on('line', (line) => {
  const [action, ...words] = line.trim().split(' ');
  // Answered at once, whatever is under way.
  if (action === 'ping') return say('pong', threads().join(', '));
  turn = turn.then(() => ACTIONS[action]?.(...words));
});
