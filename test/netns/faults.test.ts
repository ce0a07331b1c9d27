/**
 * What happens to interfaces, while packets flow, to each of the three devices that use one: down
 * and up, renamed, resized, deleted, a peer that never reads, and the end by kill -9. Every packet
 * has one outcome, every frame comes back, and a link that was down is no failure.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Report, RunningAppliance } from './appliance.js';
import { Namespace, obstacle } from './namespace.js';

const program = (name: string): string =>
  fileURLToPath(new URL(`../../programs/${name}`, import.meta.url));
const reason = obstacle('ping', 'ss', 'tc');
/** Compiling and starting take long on a machine that does other things. */
const options = { timeout: 180_000 };
const PATIENCE_MS = 30_000;

const MAC = /(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/;
/** Accepts, and never reads. */
const NEVER_READS = `
  const server = require('node:net').createServer({ pauseOnConnect: true }, () => {});
  server.listen(9000, '10.9.0.1', () => console.log('listens'));
`;
/** Writes until it has not been allowed to for a second; prints the bytes that were taken. */
const WRITES_UNTIL_FULL = `
  const socket = require('node:net').connect(9000, '10.9.0.1', write);
  const bytes = Buffer.alloc(65536);
  const full = setTimeout(() => {
    console.log(socket.bytesWritten - socket.writableLength);
    socket.destroy();
  }, 1000);
  function write() {
    full.refresh();
    while (socket.write(bytes));
    socket.once('drain', write);
  }
`;

const DEVICES = ['af_packet', 'af_xdp', 'tap'] as const;
type DeviceName = (typeof DEVICES)[number];

const title = `faults of interfaces${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined)(title, options, () => {
  let left: Namespace;
  let middle: Namespace;
  let right: Namespace;
  const running: RunningAppliance[] = [];
  const loads: ChildProcess[] = [];

  beforeEach(async () => {
    [left, middle, right] = (await Promise.all([1, 2, 3].map(() => Namespace.create()))) as [
      Namespace,
      Namespace,
      Namespace,
    ];
    right.veth('right', middle, 'two');
    right.ip('addr add 10.9.0.2/24 dev right');
  });
  afterEach(() => {
    for (const load of loads.splice(0)) load.kill('SIGKILL');
    for (const appliance of running.splice(0)) appliance.kill();
    for (const namespace of [left, middle, right]) namespace.close();
  });

  async function start(config: object): Promise<RunningAppliance> {
    const appliance = await RunningAppliance.start(middle, config);
    running.push(appliance);
    return appliance;
  }

  /**
   * An appliance between 10.9.0.1, behind port `one` of this device, and 10.9.0.2, and the
   * namespace that has the first. A tap's peer is the kernel of the appliance's own namespace.
   */
  async function bridge(device: DeviceName, options = ''): Promise<[RunningAppliance, Namespace]> {
    if (device !== 'tap') {
      left.veth('left', middle, 'one');
      left.ip('addr add 10.9.0.1/24 dev left');
      await carrier(middle, 'one');
    }
    await carrier(middle, 'two');
    const appliance = await start(bridgeConfig(device, options));
    if (device !== 'tap') return [appliance, left];
    middle.ip('addr add 10.9.0.1/24 dev one');
    return [appliance, middle];
  }

  /**
   * Packets until the end of the test, whatever becomes of the interfaces, about a thousand a
   * second. The first have arrived.
   */
  async function load(from: Namespace): Promise<void> {
    const arrived = receivedBy(right, 'right') + 300;
    background(from, 'ping -q -i 0.001 -s 600 -w 120 10.9.0.2');
    await until('packets flow', () => receivedBy(right, 'right') > arrived);
  }

  /** 3,000 packets at once to a peer that does not answer, then as `load`. */
  async function flood(): Promise<void> {
    // Nor does it tell its address.
    const [mac] = MAC.exec(right.run('ip', '-br', 'link', 'show', 'right')) ?? [];
    left.ip(`neigh replace 10.9.0.2 lladdr ${mac} dev left`);
    background(left, 'ping -q -i 0.001 -l 3000 -s 600 -w 120 10.9.0.2');
    await until('all are sent', () => receivedBy(middle, 'one') > 3000);
  }

  function background(from: Namespace, words: string): void {
    const [file, args] = from.inside(words.split(' '));
    loads.push(spawn(file, args, { stdio: 'ignore' }));
  }

  test.each(DEVICES)('%s: down, up, renamed and resized under load', async (device) => {
    const [appliance, from] = await bridge(device);
    await answers(from, '10.9.0.2', 1472);
    await load(from);
    middle.ip('link set one down');
    await appliance.says('one: link down');
    middle.ip('link set one up');
    await appliance.says('one: link up');
    await answers(from, '10.9.0.2', 1472);
    middle.ip('link set one name other');
    await answers(from, '10.9.0.2', 1472);
    middle.ip('link set other mtu 1000');
    // Its peer may still send what is longer; we may not.
    await until('too long', () => !pings(right, '10.9.0.1', 1400));
    middle.ip('link set other mtu 1500');
    await answers(from, '10.9.0.2', 1472);
    const report = await appliance.stop();
    expectSettled(report);
    expect(report.errors).toEqual([]);
    expect(report.stats.ports.two?.drops.tx_too_long).toBeGreaterThan(0);
    expect(appliance.stderr.match(/^one: link .*$/gm)).toEqual([
      'one: link down: packets to it are dropped until it is up again',
      'one: link up',
    ]);
  });

  test.each(DEVICES)('%s: deleted under load, and the other port goes on', async (device) => {
    const [appliance, from] = await bridge(device);
    await answers(from, '10.9.0.2');
    await load(from);
    middle.ip('link del one');
    await appliance.says('WIRELET_E_INTERFACE_GONE');
    // What now has its name is another one, and nothing of ours.
    await answers(right, '10.9.0.9');
    const report = await appliance.stop();
    expectSettled(report);
    expect(report.errors.map(({ code }) => code)).toEqual(['WIRELET_E_INTERFACE_GONE']);
    const { one, two } = report.stats.ports;
    expect([one?.link, two?.link]).toEqual(['down', 'up']);
  });

  test('af_packet: a queue that nobody empties starves nobody else', async () => {
    const [appliance, from] = await bridge('af_packet', '?qdisc');
    middle.run('tc', ...'qdisc add dev two root tbf rate 1kbit burst 2000 limit 30000'.split(' '));
    await flood();
    await answers(from, '10.9.0.9');
    const report = await appliance.stop();
    expectSettled(report);
    expect(report.stats.ports.one?.drops.tx_full).toBeGreaterThan(1000);
  });

  test('af_xdp: a peer that has stopped to read starves nobody else', async () => {
    const [appliance, from] = await bridge('af_xdp');
    const deaf = await RunningAppliance.start(right, { ports: { in: 'af_xdp:right' } });
    running.push(deaf);
    deaf.signal('SIGSTOP');
    await flood();
    await answers(from, '10.9.0.9');
    const report = await appliance.stop();
    expectSettled(report);
    deaf.signal('SIGCONT');
    const { conservation, stats } = await deaf.stop();
    expect([conservation.exact, stats.framesUsed]).toEqual([true, 0]);
    expect(stats.ports.in?.drops.no_frame).toBeGreaterThan(0);
  });

  test('tap: a socket that is never read starves nobody else', async () => {
    const [appliance, from] = await bridge('tap');
    const [file, args] = from.inside([process.execPath, '-e', NEVER_READS]);
    const server = spawn(file, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    loads.push(server);
    await once(server.stdout, 'data');
    const written = right.run(process.execPath, '-e', WRITES_UNTIL_FULL);
    expect(Number(written)).toBeGreaterThan(100_000);
    await answers(right, '10.9.0.1');
    const report = await appliance.stop();
    expectSettled(report);
    expect(report.errors).toEqual([]);
  });

  test.each(DEVICES)('%s: kill -9 leaves nothing behind', async (device) => {
    const [killed, from] = await bridge(device);
    await answers(from, '10.9.0.2');
    await load(from);
    await killed.die();
    const links = middle.run('ip', '-d', 'link');
    expect(links).not.toMatch(/xdp|promiscuity [1-9]/);
    expect(links.includes(' one')).toBe(device !== 'tap');
    // A line of titles, and a line for each packet socket; `ss` has a line for each AF_XDP socket.
    expect(middle.run('cat', '/proc/net/packet').trim().split('\n')).toHaveLength(1);
    expect(middle.run('ss', '-H', '--xdp')).toBe('');
    const appliance = await killed.startAgain(middle, bridgeConfig(device));
    running.push(appliance);
    if (device === 'tap') middle.ip('addr add 10.9.0.1/24 dev one');
    await answers(from, '10.9.0.2');
    const report = await appliance.stop();
    expectSettled(report);
    expect(report.errors).toEqual([]);
  });
});

/** Ports `one`, of the device under test, and `two`; 10.9.0.9 is answered behind both. */
function bridgeConfig(device: DeviceName, options = ''): object {
  const answer = { settings: { addresses: ['10.9.0.9'] }, redirectTo: ['one', 'two'] };
  return {
    frames: 4096,
    // The kernel of a tap's namespace must not see packets of `two` a second time.
    ports: { one: `${device}:one`, two: `${device === 'tap' ? 'af_xdp' : device}:two${options}` },
    forward: { one: 'two', two: 'one' },
    programs: {
      arp: { source: program('arp-responder'), ...answer },
      echo: { source: program('icmp-echo'), ...answer },
    },
    pipeline: ['arp', 'echo'],
  };
}

/** Whether `address` answers a ping of so many bytes. */
function pings(from: Namespace, address: string, bytes: number): boolean {
  const words = `ping -c 1 -W 0.3 -M do -s ${bytes} ${address} || true`;
  return from.run('sh', '-c', words).includes('1 received');
}

function answers(from: Namespace, address: string, bytes = 56): Promise<void> {
  return until(`${address} answers`, () => pings(from, address, bytes));
}

/** Packets that the kernel has counted as received. */
function receivedBy(namespace: Namespace, name: string): number {
  const [link] = JSON.parse(namespace.run('ip', '-s', '-j', 'link', 'show', name));
  return link.stats64.rx.packets;
}

/** A new veth gets its carrier in the kernel's own time. */
function carrier(namespace: Namespace, name: string): Promise<void> {
  const up = () => namespace.run('ip', '-br', 'link', 'show', name).includes(' UP ');
  return until(`${name} is up`, up);
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const started = performance.now(); performance.now() - started < PATIENCE_MS; ) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not in ${PATIENCE_MS} ms: ${what}`);
}

/** Every packet has one outcome, and no frame is missing. */
function expectSettled({ conservation, stats }: Report): void {
  expect(conservation).toMatchObject({ exact: true });
  expect(stats.framesUsed).toBe(0);
}
