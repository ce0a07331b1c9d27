/**
 * `dpdk` ports over software drivers on interfaces that go down, come back and are deleted under
 * load: said once each, the other ports go on, every packet has one outcome, every frame is back.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { jsonOf, wirelet } from '../../host/test/binary.js';
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
    expect(other).toMatchObject({ rx: other?.tx, dropped: 0 });
    expect(out?.xstats).toMatchObject({ lost: 0, corrupt: 0 });
  });

  test('an interface that is back has its port again', async () => {
    const link = (): void => {
      here.veth('one', peer, 'far');
      peer.ip('addr add 10.9.0.1/24 dev far');
    };
    link();
    here.veth('two', other, 'far');
    other.ip('addr add 10.9.0.2/24 dev far');
    const dpdk = (index: number, iface: string) =>
      `dpdk:net_af_packet${index},iface=${iface}?${SMALL}`;
    appliance = await RunningAppliance.start(here, {
      frames: 4096,
      ports: {
        one: dpdk(0, 'one'),
        two: dpdk(1, 'two'),
        beside: 'gen:?rate=2k',
        ring: `dpdk:net_ring0?${SMALL}`,
        out: 'sink:',
      },
      forward: { one: 'two', two: 'one', beside: 'ring', ring: 'out' },
    });
    const { socket } = appliance;
    const port = async () => {
      const status = jsonOf(await wirelet(['status', '--socket', socket, '--json']));
      return status.data.ports[0];
    };
    const ping = (): string => peer.run('sh', '-c', 'ping -c 20 -i 0.05 -w 20 10.9.0.2 || true');
    expect(ping()).toContain('20 received');
    for (const round of [1, 2]) {
      here.ip('link del one');
      await appliance.says('WIRELET_E_INTERFACE_GONE', round);
      expect(await port()).toMatchObject({ link: 'down', finished: true });
      link();
      await appliance.says('one: open again', round);
      await appliance.says('one: link up', round);
      expect(await port()).toMatchObject({ link: 'up', finished: false });
      expect(ping()).toContain('20 received');
    }
    const { conservation, stats, errors } = await appliance.stop();
    expect(conservation).toMatchObject({ exact: true });
    expect(stats.framesUsed).toBe(0);
    expect(errors.map(({ code }) => code)).toEqual(Array(2).fill('WIRELET_E_INTERFACE_GONE'));
    const { one, two, beside, out } = stats.ports;
    // 60 pings and what was asked for addresses, each way.
    expect(one?.rx).toBeGreaterThanOrEqual(60);
    expect(two?.rx).toBeGreaterThanOrEqual(60);
    expect(out?.xstats).toMatchObject({ lost: 0, corrupt: 0 });
    expect(out?.tx).toBe(beside?.rx);
  });
});
