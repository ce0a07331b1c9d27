/**
 * `dpdk` ports over software drivers on interfaces that go down, come back and are deleted under
 * load: said once each, the other ports go on, every packet has one outcome, every frame is back.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { jsonOf, wirelet } from '../../host/test/binary.js';
import { buildDevice } from '../dpdk/device.js';
import { RunningAppliance } from './appliance.js';
import { Namespace, obstacle } from './namespace.js';

const PLUGIN = fileURLToPath(new URL('../../host/wirelet-dpdk.so', import.meta.url));
const reason = obstacle('ping') ?? (existsSync(PLUGIN) ? undefined : 'no plugin, no libdpdk');
/** Starting takes long on a machine that does other things. */
const options = { timeout: 120_000 };
const SMALL = 'rxd=128&txd=128';

/** A port of each driver, how its interface is made, and a port beside it. */
const CONFIG = (device: string) => ({
  frames: 4096,
  ports: {
    in: 'gen:?rate=2k',
    one: `dpdk:${device},iface=one?${SMALL}`,
    other: `dpdk:net_ring0?${SMALL}`,
    beside: 'gen:?rate=2k',
    out: 'sink:',
  },
  forward: { in: 'one', beside: 'other', other: 'out' },
});

const title = `dpdk ports and their interfaces${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined)(title, options, () => {
  let here: Namespace;
  let peer: Namespace;
  let other: Namespace;
  let appliance: RunningAppliance | undefined;
  beforeEach(async () => {
    [here, peer, other] = (await Promise.all([1, 2, 3].map(() => Namespace.create()))) as [
      Namespace,
      Namespace,
      Namespace,
    ];
  });
  afterEach(() => {
    appliance?.kill();
    for (const namespace of [here, peer, other]) namespace.close();
  });

  test.each(['net_af_packet0', 'net_tap0'])('%s: down, up, and deleted', async (device) => {
    if (device === 'net_af_packet0') here.veth('one', peer, 'far');
    appliance = await RunningAppliance.start(here, CONFIG(device));
    here.ip('link set one down');
    await appliance.says('one: link down');
    here.ip('link set one up');
    await appliance.says('one: link up');
    here.ip('link del one');
    await appliance.says('WIRELET_E_INTERFACE_GONE');
    // Thousands more are sent to it meanwhile.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const { conservation, stats, errors } = await appliance.stop();
    expect(conservation).toMatchObject({ exact: true });
    expect(stats.framesUsed).toBe(0);
    expect(errors.map(({ code }) => code)).toEqual(['WIRELET_E_INTERFACE_GONE']);
    const { in: from, one, other, out } = stats.ports;
    expect([one?.link, one?.finished, other?.link]).toEqual(['down', true, 'up']);
    expect(from?.drops.tx_error).toBeGreaterThan(0);
    // What is in the ring at the stop nobody receives; in between the sink would miss it.
    expect(other?.dropped).toBe(0);
    expect(out?.xstats).toMatchObject({ lost: 0, corrupt: 0 });
  });

  /** The first of two wires; its end here comes and goes. */
  function link(): void {
    here.veth('one', peer, 'far');
    peer.ip('addr add 10.9.0.1/24 dev far');
  }

  /** Both wires, each with a port, and a pair of ports beside them. */
  async function startAcross(rules: object = {}, env: object = {}): Promise<RunningAppliance> {
    link();
    here.veth('two', other, 'far');
    other.ip('addr add 10.9.0.2/24 dev far');
    const dpdk = (index: number, iface: string) =>
      `dpdk:net_af_packet${index},iface=${iface}?${SMALL}`;
    const config = {
      frames: 4096,
      ports: {
        one: dpdk(0, 'one'),
        two: dpdk(1, 'two'),
        beside: 'gen:?rate=2k',
        ring: `dpdk:net_ring0?${SMALL}`,
        out: 'sink:',
      },
      forward: { one: 'two', two: 'one', beside: 'ring', ring: 'out' },
      ...rules,
    };
    appliance = await RunningAppliance.start(here, config, env);
    return appliance;
  }

  async function status(): Promise<object> {
    const socket = appliance?.socket ?? '';
    const { data } = jsonOf(await wirelet(['status', '--socket', socket, '--json']));
    const [one] = data.ports as object[];
    return one ?? {};
  }

  /** What becomes of 20 pings across the wires. */
  function ping(address = '10.9.0.2', patience = ['-w', '20']): string {
    const words = ['ping', '-c', '20', '-i', '0.05', ...patience, address, '|| true'];
    return peer.run('sh', '-c', words.join(' '));
  }

  test('an interface that is back has its port again', async () => {
    const appliance = await startAcross();
    expect(ping()).toContain('20 received');
    for (const round of [1, 2]) {
      here.ip('link del one');
      await appliance.says('WIRELET_E_INTERFACE_GONE', round);
      expect(await status()).toMatchObject({ link: 'down', finished: true });
      link();
      await appliance.says('one: open again', round);
      await appliance.says('one: link up', round);
      expect(await status()).toMatchObject({ link: 'up', finished: false });
      expect(ping()).toContain('20 received');
    }
    const { conservation, stats, errors } = await appliance.stop();
    expect(conservation).toMatchObject({ exact: true });
    expect(stats.framesUsed).toBe(0);
    expect(errors.map(({ code }) => code)).toEqual(Array(2).fill('WIRELET_E_INTERFACE_GONE'));
    const { one, two, beside, ring, out } = stats.ports;
    // 60 pings and what was asked for addresses, each way.
    expect(one?.rx).toBeGreaterThanOrEqual(60);
    expect(two?.rx).toBeGreaterThanOrEqual(60);
    expect([beside?.dropped, ring?.dropped]).toEqual([0, 0]);
    expect(out?.xstats).toMatchObject({ lost: 0, corrupt: 0 });
  });

  test('an appliance whose only port is gone ends', async () => {
    link();
    const ports = { one: `dpdk:net_af_packet0,iface=one?${SMALL}` };
    appliance = await RunningAppliance.start(here, { frames: 1024, ports });
    here.ip('link del one');
    const { interrupted, conservation, errors } = await appliance.end();
    expect([interrupted, conservation.exact]).toEqual([false, true]);
    expect(errors.map(({ code }) => code)).toEqual(['WIRELET_E_INTERFACE_GONE']);
  });

  test('rules in hardware are there again, or the port stays closed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'wirelet-back-'));
    try {
      const full = join(folder, 'full');
      const env = { LD_PRELOAD: buildDevice(folder), FLOWS_FULL: full };
      const rules = [
        { match: { etherType: 'ipv4', destination: '10.9.0.3' }, action: { drop: true } },
      ];
      const appliance = await startAcross({ rules: { one: rules } }, env);
      const forbidden = (): void => {
        peer.ip('neigh add 10.9.0.3 lladdr 02:00:00:00:00:03 dev far');
        expect(ping('10.9.0.3', ['-W', '0.1'])).toContain(' 0 received');
      };
      forbidden();
      here.ip('link del one');
      await appliance.says('WIRELET_E_INTERFACE_GONE');
      link();
      await appliance.says('one: open again');
      await appliance.says('one: link up');
      forbidden();
      expect(ping()).toContain('20 received');
      // The next one has no room for them.
      writeFileSync(full, '');
      here.ip('link del one');
      await appliance.says('WIRELET_E_INTERFACE_GONE', 2);
      link();
      await appliance.says('WIRELET_E_DEVICE_OPEN');
      await appliance.says('the driver refuses rule 0: no room in the device');
      expect(await status()).toMatchObject({ link: 'down', finished: true });
      expect(ping('10.9.0.2', ['-W', '0.1'])).toContain(' 0 received');
      rmSync(full);
      here.ip('link del one');
      // Longer than EAL's thread lets pass between two looks.
      await new Promise((resolve) => setTimeout(resolve, 1500));
      link();
      await appliance.says('one: open again', 2);
      await appliance.says('one: link up', 2);
      forbidden();
      const { conservation, stats, errors } = await appliance.stop();
      expect(conservation).toMatchObject({ exact: true });
      expect(stats.framesUsed).toBe(0);
      const gone = 'WIRELET_E_INTERFACE_GONE';
      const codes = [gone, gone, 'WIRELET_E_DEVICE_OPEN'];
      expect(errors.map(({ code }) => code)).toEqual(codes);
      // Each device has dropped 20, and the engine none.
      expect(stats.ports.one?.rules).toMatchObject({ where: 'hardware', hits: [{ packets: 60 }] });
      expect(stats.ports.one?.drops.rule).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
