/**
 * Real peers through a real appliance: af_packet and tap ports in network namespaces. Needs root,
 * iproute2, util-linux and ping; without them it is skipped, and says why.
 */
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RunningAppliance } from './appliance.js';
import { Namespace, obstacle } from './namespace.js';

const program = (name: string): string =>
  fileURLToPath(new URL(`../../programs/${name}`, import.meta.url));
const reason = obstacle('ping');
const TRANSFER_BYTES = 20_000_000;
/** Compiling and starting take long on a machine that does other things. */
const options = { timeout: 180_000 };

const title = `real interfaces${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined)(title, options, () => {
  let left: Namespace;
  let middle: Namespace;
  let right: Namespace;
  const running: RunningAppliance[] = [];

  beforeEach(async () => {
    [left, middle, right] = (await Promise.all([1, 2, 3].map(() => Namespace.create()))) as [
      Namespace,
      Namespace,
      Namespace,
    ];
    left.veth('left', middle, 'one');
    right.veth('right', middle, 'two');
    for (const [namespace, name, host] of [
      [left, 'left', 1],
      [right, 'right', 2],
    ] as const) {
      namespace.ip(`addr add 10.9.0.${host}/24 dev ${name}`);
      namespace.ip(`addr add fd09::${host}/64 dev ${name} nodad`);
    }
  });
  afterEach(() => {
    for (const appliance of running.splice(0)) appliance.kill();
    for (const namespace of [left, middle, right]) namespace.close();
  });

  async function start(config: object): Promise<RunningAppliance> {
    const appliance = await RunningAppliance.start(middle, config);
    running.push(appliance);
    return appliance;
  }

  /**
   * Answers of `count` pings with so many bytes. With `-w` ping waits for all of them, however long
   * a busy machine takes; on a network that loses some it must not ask again.
   */
  function ping(to: string, count: number, bytes = 56, patience = ['-w', '20']): number {
    const flags = ['-c', count, '-i', '0.05', ...patience, '-s', bytes, '-M', 'do'].map(String);
    const text = left.run('sh', '-c', `ping ${flags.join(' ')} ${to} || true`);
    return Number(/(\d+) received/.exec(text)?.[1] ?? 0);
  }

  test.each(['?tpacket=2', '?tpacket=3', '?queues=2'])(
    'ping and TCP through af_packet%s',
    async (how) => {
      const queues = how === '?queues=2' ? 2 : 1;
      const device = (name: string) => ({
        device: `af_packet:${name}${queues === 1 ? how : ''}`,
        queues,
      });
      const appliance = await start({
        lcores: queues,
        ports: { one: device('one'), two: device('two') },
        forward: { one: 'two', two: 'one' },
        programs: { count: program('count') },
        pipeline: ['count'],
      });
      for (const bytes of [0, 1, 56, 1472]) expect(ping('10.9.0.2', 5, bytes)).toBe(5);
      for (const bytes of [0, 1452]) expect(ping('fd09::2', 5, bytes)).toBe(5);
      for (const address of ['10.9.0.2', 'fd09::2']) {
        expect(transfer(left, right, address)).toBe('equal');
      }
      const { stats, conservation, errors } = await appliance.stop();
      expect({ conservation, errors }).toMatchObject({ conservation: { exact: true }, errors: [] });
      expect(stats.framesUsed).toBe(0);
      expect(stats.ports.one).toMatchObject({ link: 'up', mtu: 1500, promiscuous: true });
      expect(stats.ports.one?.mac).toMatch(/^[0-9a-f:]{17}$/);
      // Its stack leaves checksums and cutting to hardware, which is us.
      expect(stats.ports.two?.xstats.packets_cut).toBeGreaterThan(0);
      expect(stats.ports.one?.xstats.checksums_completed).toBeGreaterThan(0);
      expect(stats.programs.count?.packets).toBeGreaterThan(TRANSFER_BYTES / 1500);
    },
  );

  test('the kernel behind a tap answers', async () => {
    const appliance = await start({
      ports: { one: 'af_packet:one', host: 'tap:host' },
      forward: { one: 'host', host: 'one' },
    });
    middle.ip('addr add 10.9.0.3/24 dev host');
    for (const bytes of [0, 56, 1472]) expect(ping('10.9.0.3', 5, bytes)).toBe(5);
    expect(transfer(left, middle, '10.9.0.3')).toBe('equal');
    const { stats, conservation } = await appliance.stop();
    expect(conservation.exact).toBe(true);
    expect(stats.framesUsed).toBe(0);
    expect(middle.run('ip', 'link')).not.toContain('host');
  });

  test('programs alone answer ARP and ping', async () => {
    const addresses = ['10.9.0.9'];
    const answers = { settings: { addresses }, redirectTo: ['one'] };
    const appliance = await start({
      ports: { one: 'af_packet:one' },
      programs: {
        arp: { source: program('arp-responder'), ...answers },
        echo: { source: program('icmp-echo'), ...answers },
      },
      pipeline: ['arp', 'echo'],
    });
    for (const bytes of [0, 56, 1472]) expect(ping('10.9.0.9', 5, bytes)).toBe(5);
    expect(left.run('ip', 'neigh')).toContain('10.9.0.9 dev left lladdr 02:00:00:00:00:01');
    const { stats, conservation } = await appliance.stop();
    expect(conservation.exact).toBe(true);
    expect(stats.programs.echo?.verdicts.redirect).toBe(15);
  });

  test('a bad network loses what it counts', async () => {
    const appliance = await start({
      ports: { one: 'fault(loss=20%,duplicate=5%,seed=3):af_packet:one', two: 'af_packet:two' },
      forward: { one: 'two', two: 'one' },
    });
    // No loss of ARP or of neighbour discovery is to hide the others.
    const ends = [
      [left, right, 'left', 'right', '10.9.0.2'],
      [right, left, 'right', 'left', '10.9.0.1'],
    ] as const;
    for (const [namespace, peer, ours, theirs, address] of ends) {
      const [mac] =
        /(?:[0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(peer.run('ip', '-br', 'link', 'show', theirs)) ?? [];
      namespace.ip(`neigh replace ${address} lladdr ${mac} dev ${ours}`);
    }
    const answers = ping('10.9.0.2', 60, 56, ['-W', '1']);
    expect(answers).toBeGreaterThan(10);
    expect(answers).toBeLessThan(60);
    const { stats, conservation } = await appliance.stop();
    expect(conservation.exact).toBe(true);
    const { one, two } = stats.ports;
    const { rx_lost = 0, tx_lost = 0 } = one?.xstats ?? {};
    expect([one?.drops.impaired, two?.drops.tx_error]).toEqual([rx_lost, tx_lost]);
    expect(rx_lost + tx_lost).toBeGreaterThan(0);
  });

  test('without any interface left the appliance ends, with its code', async () => {
    const appliance = await start({ ports: { one: 'af_packet:one' } });
    middle.ip('link set one down');
    middle.ip('link set one up');
    middle.ip('link del one');
    const { errors, conservation, stats } = await appliance.end();
    expect(errors.at(-1)?.code).toBe('WIRELET_E_INTERFACE_GONE');
    expect(conservation.exact).toBe(true);
    expect(stats.framesUsed).toBe(0);
  });
});

/** Sends bytes both ways over TCP and says whether both arrived as they were sent. */
function transfer(client: Namespace, server: Namespace, address: string): string {
  const script = fileURLToPath(new URL('transfer.js', import.meta.url));
  const args = [process.execPath, script, address, String(TRANSFER_BYTES)];
  const [serverFile, serverArgs] = server.inside([...args, 'server']);
  const [clientFile, clientArgs] = client.inside([...args, 'client']);
  const quoted = (file: string, words: string[]): string => [file, ...words].join(' ');
  const both = `${quoted(serverFile, serverArgs)} & ${quoted(clientFile, clientArgs)}; wait`;
  return client.run('sh', '-c', both).trim();
}
