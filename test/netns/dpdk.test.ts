/**
 * `dpdk` ports over software drivers on interfaces that go down, come back and are deleted under
 * load: said once each, the other ports go on, every packet has one outcome, every frame is back.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RunningAppliance } from './appliance.js';
import { Namespace, obstacle } from './namespace.js';

const PLUGIN = fileURLToPath(new URL('../../host/wirelet-dpdk.so', import.meta.url));
const reason = obstacle() ?? (existsSync(PLUGIN) ? undefined : 'no plugin, no libdpdk');
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
  let appliance: RunningAppliance | undefined;
  beforeEach(async () => {
    [here, peer] = (await Promise.all([1, 2].map(() => Namespace.create()))) as [
      Namespace,
      Namespace,
    ];
  });
  afterEach(() => {
    appliance?.kill();
    for (const namespace of [here, peer]) namespace.close();
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
});
