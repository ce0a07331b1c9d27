/**
 * The learning bridge between three hosts: what each of them gets, and nothing else. Needs root,
 * iproute2, util-linux, ping and tcpdump; without them it is skipped, and says why.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RunningAppliance } from './appliance.js';
import { Namespace, obstacle } from './namespace.js';

const PROGRAM = fileURLToPath(new URL('../../programs/l2fwd', import.meta.url));
const HOSTS = [1, 2, 3] as const;
const PORTS = HOSTS.map((host) => `port${host}`);
const reason = obstacle('ping', 'tcpdump');
/** Compiling and starting take long on a machine that does other things. */
const options = { timeout: 180_000 };

/** What an interface gets, as tcpdump prints it. */
class Listener {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #listening = false;
  lines = '';

  constructor(namespace: Namespace, filter: string) {
    const words = [
      'tcpdump',
      '-i',
      'eth',
      '-n',
      '-e',
      '-l',
      '--immediate-mode',
      '-Q',
      'in',
      filter,
    ];
    const [file, args] = namespace.inside(words);
    this.#child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.lines += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      if (text.includes('listening on')) this.#listening = true;
    });
  }

  async ready(): Promise<void> {
    for (let attempt = 0; !this.#listening; attempt++) {
      if (attempt > 500) throw new Error('tcpdump does not listen');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** All lines of it. */
  async stop(): Promise<string[]> {
    this.#child.kill('SIGINT');
    await this.#ended;
    return this.lines.split('\n').filter((line) => line !== '');
  }
}

const title = `a bridge of three hosts${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined).each([1, 2])(`${title}, lcores: %i`, options, (lcores) => {
  let bridge: Namespace;
  let hosts: Namespace[];
  let appliance: RunningAppliance | undefined;

  beforeEach(async () => {
    bridge = await Namespace.create();
    hosts = await Promise.all(HOSTS.map(() => Namespace.create()));
    for (const [index, host] of hosts.entries()) {
      host.veth('eth', bridge, PORTS[index] ?? '');
      host.ip(`addr add 10.9.0.${index + 1}/24 dev eth`);
      host.ip(`addr add fd09::${index + 1}/64 dev eth nodad`);
      // An answer to a broadcast ping says that the broadcast came.
      host.run('sh', '-c', 'echo 0 > /proc/sys/net/ipv4/icmp_echo_ignore_broadcasts');
    }
    appliance = await RunningAppliance.start(bridge, {
      lcores,
      ports: Object.fromEntries(
        PORTS.map((port) => [port, { device: `af_packet:${port}`, queues: lcores }]),
      ),
      programs: { bridge: { source: PROGRAM, redirectTo: PORTS } },
      pipeline: ['bridge'],
    });
  });
  afterEach(() => {
    appliance?.kill();
    for (const namespace of [bridge, ...hosts]) namespace.close();
  });

  /**
   * What `ping` with these words prints. With `-w` it waits for answers that come late; without, it
   * gives the last one two round trips, which a busy machine may take longer for.
   */
  function ping(from: number, words: string): string {
    return hosts[from - 1]?.run('sh', '-c', `ping -i 0.05 ${words} || true`) ?? '';
  }

  async function conserved(): Promise<Record<string, number>> {
    const { stats, conservation, errors } = (await appliance?.stop()) ?? {};
    expect({ conservation, errors }).toMatchObject({ conservation: { exact: true }, errors: [] });
    expect(stats?.framesUsed).toBe(0);
    const copies = Object.values(stats?.ports ?? {}).map((port) => port.copies);
    return { copies: copies.reduce((total, one) => total + one, 0) };
  }

  test('each reaches each other, and the third hears none of it', async () => {
    const pairs = HOSTS.flatMap((from) => HOSTS.map((to) => [from, to] as const));
    for (const [from, to] of pairs.filter(([from, to]) => from !== to)) {
      expect(ping(from, `-c 3 -w 10 10.9.0.${to}`)).toContain('3 received');
      expect(ping(from, `-c 3 -w 10 fd09::${to}`)).toContain('3 received');
    }
    // All are known now.
    const third = new Listener(hosts[2] as Namespace, 'icmp or icmp6');
    await third.ready();
    expect(ping(1, '-c 20 -w 10 10.9.0.2')).toContain('20 received');
    expect(ping(2, '-c 20 -w 10 fd09::1')).toContain('20 received');
    // A sign that it has heard all there was before.
    expect(ping(1, '-c 1 -w 10 10.9.0.3')).toContain('1 received');
    const heard = (await third.stop()).filter((line) => !line.includes('multicast'));
    const others = heard.filter((line) => /10\.9\.0\.2|echo.*fd09::|fd09::.*echo/.test(line));
    expect(others).toEqual([]);
    expect(heard.some((line) => line.includes('10.9.0.1 > 10.9.0.3'))).toBe(true);
    expect((await conserved()).copies).toBeGreaterThan(0);
  });

  test('a broadcast reaches both others, an unknown station too', async () => {
    const listeners = [hosts[1], hosts[2]].map(
      (host) => new Listener(host as Namespace, 'icmp and src host 10.9.0.1'),
    );
    await Promise.all(listeners.map((listener) => listener.ready()));
    const answers = ping(1, '-b -c 5 -W 1 10.9.0.255');
    expect(answers).toMatch(/from 10\.9\.0\.2/);
    expect(answers).toMatch(/from 10\.9\.0\.3/);
    // Nobody has this address, so nobody can be learned there.
    hosts[0]?.ip('neigh replace 10.9.0.9 lladdr 02:00:00:00:00:99 dev eth');
    ping(1, '-c 5 -W 1 10.9.0.9');
    for (const listener of listeners) {
      const lines = await listener.stop();
      const count = (text: string) => lines.filter((line) => line.includes(text)).length;
      expect(count('> 10.9.0.255: ICMP echo request')).toBe(5);
      // Promiscuous, so it sees what is not for it.
      expect(count('> 10.9.0.9: ICMP echo request')).toBe(5);
    }
    expect((await conserved()).copies).toBeGreaterThanOrEqual(10);
  });
});
