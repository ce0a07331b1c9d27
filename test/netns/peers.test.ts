/**
 * What people run over a network, over ours: ping, a web server, iperf3, DNS, a session through a
 * thousand swaps; for each device of real interfaces. Real servers and clients on both sides, each
 * in a namespace. Needs root and Debian's curl, busybox, iperf3, bind9-dnsutils, dnsmasq-base,
 * netcat-openbsd and iputils-ping; without them it is skipped, and says why.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ControlClient } from '../../host/src/control/client.js';
import { RunningAppliance } from './appliance.js';
import { Namespace, obstacle, said } from './namespace.js';

const program = (name: string): string =>
  fileURLToPath(new URL(`../../programs/${name}`, import.meta.url));
const reason = obstacle('ping', 'curl', 'busybox', 'iperf3', 'dig', 'dnsmasq', 'nc', 'sha256sum');
const FILE_BYTES = 200_000_000;
const SWAPS = 1000;
/** Compiling and starting take long on a machine that does other things. */
const options = { timeout: 300_000 };
/** What iperf3 says is heard at once. */
const FLUSHED = ['--forceflush'];
const FAR = ['10.9.0.2', 'fd09::2'] as const;

/** Which ports an appliance has between the client and the servers. */
const DEVICES = {
  af_packet: { one: 'af_packet:one', two: 'af_packet:two' },
  af_xdp: { one: 'af_xdp:one', two: 'af_xdp:two' },
  // Servers are behind a tap, in the namespace of the appliance. What comes in by `one` is taken
  // away from the kernel there: it would answer for the tap's address, past all programs.
  tap: { one: 'af_xdp:one', two: 'tap:two' },
} as const;

/** Addresses as a URL has them. */
const inUrl = (address: string): string => (address.includes(':') ? `[${address}]` : address);

const title = `real peers${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined)(title, options, () => {
  const folder = mkdtempSync(join(tmpdir(), 'wirelet-peers-'));
  let sum = '';

  beforeAll(async () => {
    const file = join(folder, 'file');
    const block = randomBytes(1_000_000);
    const chunks = Array.from({ length: FILE_BYTES / block.length }, (_, number) => {
      const chunk = Buffer.from(block);
      chunk.writeUInt32LE(number);
      return chunk;
    });
    writeFileSync(file, Buffer.concat(chunks));
    const hash = createHash('sha256');
    await pipeline(createReadStream(file), hash);
    sum = hash.digest('hex');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  describe.each(Object.keys(DEVICES) as (keyof typeof DEVICES)[])('through %s', (device) => {
    let near: Namespace;
    let middle: Namespace;
    let far: Namespace;
    let appliance: RunningAppliance;

    beforeEach(async () => {
      [near, middle] = [await Namespace.create(), await Namespace.create()];
      near.veth('near', middle, 'one');
      far = device === 'tap' ? middle : await Namespace.create();
      if (device !== 'tap') far.veth('far', middle, 'two');
      const ports = DEVICES[device];
      appliance = await RunningAppliance.start(middle, {
        ports,
        forward: { one: 'two', two: 'one' },
        programs: {
          guard: { source: program('dnsguard'), settings: { blocked: ['ads.example'] } },
          count: program('count'),
        },
        pipeline: ['guard', 'count'],
      });
      const ends = [
        [near, 'near', 1],
        [far, device === 'tap' ? 'two' : 'far', 2],
      ] as const;
      for (const [namespace, name, host] of ends) {
        namespace.ip(`addr add 10.9.0.${host}/24 dev ${name}`);
        namespace.ip(`addr add fd09::${host}/64 dev ${name} nodad`);
      }
    });
    afterEach(() => {
      appliance?.kill();
      for (const namespace of new Set([near, middle, far])) namespace?.close();
    });

    /** Ends the appliance, and sees that everything that came in is accounted for. */
    async function stop() {
      const report = await appliance.stop();
      expect(report.conservation).toMatchObject({ exact: true });
      expect(report.errors).toEqual([]);
      expect(report.stats.framesUsed).toBe(0);
      return report;
    }

    test('ping, a file of 200 MB by HTTP, over IPv4 and IPv6', async () => {
      for (const [address, sizes] of [
        [FAR[0], [0, 1, 17, 56, 1000, 1472]],
        [FAR[1], [0, 1, 56, 1452]],
      ] as const) {
        for (const bytes of sizes) {
          const flags = ['-c', '5', '-i', '0.02', '-w', '20', '-s', String(bytes), '-M', 'do'];
          expect(near.run('ping', ...flags, address)).toContain(' 5 received');
        }
      }
      for (const address of FAR) {
        far.start('busybox', 'httpd', '-f', '-p', `${inUrl(address)}:8080`, '-h', folder);
        const url = `http://${inUrl(address)}:8080/file`;
        const curl = `curl --silent --fail --retry 20 --retry-connrefused --retry-delay 1 '${url}'`;
        expect(near.run('sh', '-c', `${curl} | sha256sum`)).toContain(sum);
      }
      const { stats } = await stop();
      expect(stats.programs.count?.packets).toBeGreaterThan((2 * FILE_BYTES) / 1500);
    });

    test('iperf3: TCP and UDP, both ways, over IPv4 and IPv6', async () => {
      let port = 5201;
      for (const address of FAR) {
        for (const how of [[], ['--udp', '--bitrate', '20M', '--length', '1200']]) {
          for (const way of [[], ['--reverse']]) {
            // One server per run: it says that it is busy for a while after each.
            const where = ['--port', String(port++)];
            const server = far.start('iperf3', '--server', '--bind', address, ...where, ...FLUSHED);
            await said(server, 'listening');
            const flags = [...where, '--time', '1', '--json', ...how, ...way];
            const { end, error } = JSON.parse(near.run('iperf3', '--client', address, ...flags));
            expect(error).toBeUndefined();
            if (how.length === 0) expect(end.sum_received.bytes).toBeGreaterThan(100_000);
            else expect(end.sum.packets - end.sum.lost_packets).toBeGreaterThan(100);
            server.kill();
          }
        }
      }
      await stop();
    });

    test('DNS through dnsguard: a real resolver is asked, a listed name is not', async () => {
      const names = ['good.example/192.0.2.7', 'ads.example/192.0.2.8'];
      const answers = names.map((name) => `--address=/${name}`);
      const server = [
        '--keep-in-foreground',
        '--conf-file=/dev/null',
        '--pid-file=',
        '--user=root',
      ];
      const where = [...FAR.map((address) => `--listen-address=${address}`), '--bind-interfaces'];
      far.start('dnsmasq', ...server, '--no-resolv', '--no-hosts', ...where, ...answers);
      const dig = (address: string, name: string, tries: number) =>
        near.run('sh', '-c', `dig +short +tries=${tries} +time=1 @${address} ${name} || true`);
      for (const address of FAR) {
        expect(dig(address, 'good.example', 20)).toBe('192.0.2.7\n');
        expect(dig(address, 'a.ads.example', 2)).toMatch(/timed out|no servers could be reached/);
      }
      const { stats, counters } = await stop();
      expect(counters).toMatchObject({ 'guard/blocked': 4, 'guard/malformed': 0 });
      expect(stats.programs.guard?.verdicts.drop).toBe(4);
    });

    test(`a session lives through ${SWAPS} swaps`, async () => {
      const listener = far.start('nc', '-l', FAR[0], '7000');
      listener.stdout.pipe(listener.stdin);
      const session = near.start('sh', '-c', `sleep 1; exec nc ${FAR[0]} 7000`);
      let echoed = '';
      session.stdout.setEncoding('utf8').on('data', (text: string) => {
        echoed += text;
      });
      const client = await ControlClient.connect(appliance.socket);
      let sent = '';
      for (let swap = 0; swap < SWAPS; swap++) {
        const line = `line ${swap}\n`;
        session.stdin.write(line);
        sent += line;
        const settings = { blocked: [`name${swap}.example`] };
        await client.ask('swap', { program: 'guard', settings });
      }
      const until = performance.now() + 30_000;
      while (echoed.length < sent.length && performance.now() < until) await pause(20);
      expect(echoed).toBe(sent);
      expect(await client.ask('status', {})).toMatchObject({ generation: SWAPS + 1 });
      client.close();
      const { stats } = await stop();
      // Both directions came through the program; TCP puts some lines into one packet.
      expect(stats.programs.guard?.verdicts.pass).toBeGreaterThan(SWAPS);
      expect(stats.programs.guard?.verdicts.drop).toBe(0);
    });
  });
});

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
