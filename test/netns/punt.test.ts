/**
 * An interface that was taken from the kernel, with the kernel behind its punt tap: ping, ARP and
 * neighbour discovery, ssh, all over a VLAN too, while programs are swapped. Needs root and
 * Debian's openssh-server, openssh-client and iputils-ping; without them it is skipped, and says
 * why.
 *
 * Not every kernel has VLAN interfaces, so those of this test are appliances of their own.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ControlClient } from '../../host/src/control/client.js';
import { RunningAppliance } from './appliance.js';
import { Namespace, obstacle, said } from './namespace.js';

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const reason = obstacle('ping', '/usr/sbin/sshd', 'ssh', 'ssh-keygen');
const SWAPS = 100;
const OWN = '10.9.0.9';
/** Of the kernel, untagged and in VLAN 5. */
const KERNEL = ['10.9.0.3', 'fd09::3', '10.9.5.3', 'fd09:5::3'] as const;
/** Compiling and starting take long on a machine that does other things. */
const options = { timeout: 300_000 };

const title = `the kernel behind a punt tap${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined)(title, options, () => {
  let folder: string;
  let near: Namespace;
  let middle: Namespace;
  let appliance: RunningAppliance;
  let running: RunningAppliance[];

  /** Makes `name` an interface for VLAN 5 of `carrier`. */
  async function addVlan(namespace: Namespace, carrier: string, name: string): Promise<void> {
    const ports = { carrier: `af_packet:${carrier}`, vlan: `tap:${name}` };
    const programs = { vlan: path('host/test/programs/vlan') };
    running.push(await RunningAppliance.start(namespace, { ports, programs }));
  }

  /** Answers for its own address and leaves all else to the kernel. */
  async function start(device: string): Promise<void> {
    const answers = { settings: { addresses: [OWN] }, redirectTo: ['one', 'host'] };
    appliance = await RunningAppliance.start(middle, {
      ports: { one: device, host: 'tap:host' },
      punt: { one: 'host' },
      programs: {
        arp: { source: path('programs/arp-responder'), ...answers },
        echo: { source: path('programs/icmp-echo'), ...answers },
        rest: path('host/test/programs/punt'),
      },
      pipeline: ['arp', 'echo', 'rest'],
    });
    running.push(appliance);
    for (const [namespace, name, host] of [
      [near, 'near', 1],
      [middle, 'host', 3],
    ] as const) {
      namespace.ip(`addr add 10.9.0.${host}/24 dev ${name}`);
      namespace.ip(`addr add fd09::${host}/64 dev ${name} nodad`);
      await addVlan(namespace, name, `${name}5`);
      namespace.ip(`addr add 10.9.5.${host}/24 dev ${name}5`);
      namespace.ip(`addr add fd09:5::${host}/64 dev ${name}5 nodad`);
    }
  }

  beforeEach(async () => {
    running = [];
    folder = mkdtempSync(join(tmpdir(), 'wirelet-punt-'));
    [near, middle] = [await Namespace.create(), await Namespace.create()];
    near.veth('near', middle, 'one');
  });
  afterEach(() => {
    for (const each of running) each.kill();
    for (const namespace of [near, middle]) namespace?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Ends the appliance, and sees that everything that came in is accounted for. */
  async function stop() {
    const report = await appliance.stop();
    expect(report.conservation).toMatchObject({ exact: true });
    expect(report.errors).toEqual([]);
    expect(report.stats.framesUsed).toBe(0);
    const { one, host } = report.stats.ports;
    expect([one?.dropped, host?.dropped]).toEqual([0, 0]);
    return report;
  }

  /** Answers: five at least. Without -w it would give up after two round trips. */
  function ping(from: Namespace, to: string, bytes = 56): number {
    const flags = ['-c', '5', '-i', '0.02', '-w', '10', '-s', String(bytes), '-M', 'do'];
    const text = from.run('ping', ...flags, to);
    return Number(/(\d+) received/.exec(text)?.[1]);
  }

  /** A server with keys and settings of its own; it sees nothing of the machine's. */
  async function startSshd(): Promise<void> {
    for (const key of ['host', 'user']) {
      execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, key)]);
    }
    const [kind, key] = readFileSync(join(folder, 'host.pub'), 'utf8').split(' ');
    writeFileSync(join(folder, 'known'), `${KERNEL.join(',')} ${kind} ${key}\n`);
    const settings = [
      'ListenAddress=0.0.0.0',
      'ListenAddress=::',
      'PidFile=none',
      'UsePAM=no',
      'StrictModes=no',
      'PermitRootLogin=prohibit-password',
      `AuthorizedKeysFile=${join(folder, 'user.pub')}`,
    ];
    const flags = ['-D', '-e', '-f', '/dev/null', '-h', join(folder, 'host')];
    const words = [...flags, ...settings.flatMap((setting) => ['-o', setting])];
    // It insists on /run/sshd. Its sessions end with it.
    const alone = ['unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c'];
    const script = 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$0" "$@"';
    await said(middle.start(...alone, script, '/usr/sbin/sshd', ...words), 'listening on ::');
  }

  /** The words of an ssh that runs `command` on `address`. */
  function ssh(address: string, command: string): string[] {
    const files = ['-F', '/dev/null', '-i', join(folder, 'user')];
    const known = ['-o', `UserKnownHostsFile=${join(folder, 'known')}`, '-o', 'BatchMode=yes'];
    return ['ssh', ...files, ...known, `root@${address}`, command];
  }

  test.each(['af_xdp:one', 'af_packet:one'])(
    'ping through %s: the kernel answers for its addresses, the program for its own',
    async (device) => {
      if (device.startsWith('af_packet')) {
        // There the kernel of the interface sees every packet too: it must not know any address.
        middle.ip('link set one arp off');
      }
      await start(device);
      for (const address of KERNEL) {
        const full = address.includes(':') ? 1452 : 1472;
        for (const bytes of [0, 1, 56, full]) {
          expect(ping(near, address, bytes)).toBeGreaterThanOrEqual(5);
        }
      }
      for (const address of ['10.9.0.1', 'fd09::1', '10.9.5.1', 'fd09:5::1']) {
        expect(ping(middle, address)).toBeGreaterThanOrEqual(5);
      }
      const link = middle.run('ip', '-o', 'link', 'show', 'host');
      const [, mac] = /link\/ether (\S+)/.exec(link) ?? [];
      for (const address of [KERNEL[0], KERNEL[1]]) {
        expect(near.run('ip', 'neigh', 'show', address)).toContain(`lladdr ${mac}`);
      }
      // From either side; its MAC address is no kernel's.
      for (const side of [near, middle]) {
        expect(ping(side, OWN)).toBeGreaterThanOrEqual(5);
        expect(side.run('ip', 'neigh', 'show', OWN)).toContain('02:00:00:00:00:01');
      }
      const { stats } = await stop();
      expect(stats.programs.echo?.verdicts.redirect).toBeGreaterThanOrEqual(10);
      expect(stats.programs.rest?.verdicts.punt).toBeGreaterThan(200);
    },
  );

  test(`ssh sessions live through ${SWAPS} swaps, also in a VLAN`, async () => {
    await start('af_xdp:one');
    await startSshd();
    for (const address of KERNEL) {
      expect(near.run(...ssh(address, 'cat /proc/net/dev'))).toContain('host5');
    }
    const sessions = KERNEL.map((address) => {
      const child = near.start(...ssh(address, 'cat'));
      const session = { child, echoed: '' };
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        session.echoed += text;
      });
      return session;
    });
    const client = await ControlClient.connect(appliance.socket);
    let sent = '';
    for (let swap = 0; swap < SWAPS; swap++) {
      sent += `line ${swap}\n`;
      for (const { child } of sessions) child.stdin.write(`line ${swap}\n`);
      const settings = { addresses: [OWN, `10.9.0.${10 + (swap % 200)}`] };
      await client.ask('swap', { program: 'echo', settings });
    }
    client.close();
    const echoed = () => sessions.map((session) => session.echoed);
    await expect.poll(echoed, { timeout: 30_000 }).toEqual(KERNEL.map(() => sent));
    // A megabyte each way, with full packets.
    const megabyte = 'head -c 1000000 /dev/zero';
    const there = ssh(KERNEL[2], `'wc -c; ${megabyte}'`).join(' ');
    expect(near.run('sh', '-c', `${megabyte} | ${there}`)).toHaveLength(
      '1000000\n'.length + 1_000_000,
    );
    const { stats } = await stop();
    expect(stats.generation).toBe(SWAPS + 1);
    expect(stats.programs.rest?.verdicts.punt).toBeGreaterThan(4 * SWAPS);
  });
});
