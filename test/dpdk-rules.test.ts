/**
 * Rules on `dpdk` ports: the same packets and rules once in the engine and once in a device that
 * carries out rte_flow (test/dpdk/device.c, in front of DPDK's pcap driver, because no driver here
 * has flows of its own). What leaves must be the same, packet by packet.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeCapture, encodeCapture } from '../host/src/capture-file.js';
import type { PortStats } from '../host/src/index.js';
import { buildDevice } from './dpdk/device.js';
import { packetsOf, type Shapes } from './dpdk/packets.js';

const HERE = fileURLToPath(new URL('dpdk/', import.meta.url));
const PLUGIN = fileURLToPath(new URL('../host/wirelet-dpdk.so', import.meta.url));
const PACKETS = 3000;

interface Outcome {
  wire: PortStats;
  framesUsed: number;
  error?: { code: string; message: string };
}

/** What a NIC may be trusted with: no ports or protocols of IPv6. */
const RULES = [
  { match: { vlan: 2, etherType: 'ipv4', protocol: 'udp', sourcePort: 50 }, action: { mark: 11 } },
  { match: { vlan: 1, source: '10.1.0.0/16' }, action: { drop: true } },
  { match: { etherType: 'arp', vlan: 'none' }, action: { drop: true } },
  { match: { etherType: 'arp' }, action: { pass: true } },
  {
    match: { etherType: 'ipv4', protocol: 'udp', destinationPort: '51-52' },
    action: { queue: 0, mark: 7 },
  },
  { match: { etherType: 'ipv4', protocol: 'tcp', sourcePort: 52 }, action: { drop: true } },
  { match: { source: 'fd00::/16', destination: 'fd01::1' }, action: { drop: true } },
  { match: { etherType: 'ipv4', protocol: 'sctp' }, action: { mark: 0xffff_fffe } },
  { match: { destination: '10.0.0.1' }, action: { mark: 3 } },
  { match: { vlan: 'none', destination: 'fd01::/16' }, action: { mark: 9 } },
  { match: { vlan: 2 }, action: { mark: 5 } },
  { match: { vlan: 'none' }, action: { mark: 6 } },
];
/** Each packet as it is read by any NIC: no extension headers, one tag at most. */
const LOOSE_RULES = [
  { match: { protocol: 'udp', destinationPort: '51-52' }, action: { drop: true } },
  { match: { protocol: 'tcp', sourcePort: 50 }, action: { mark: 8 } },
  { match: { protocol: 'icmp6' }, action: { mark: 2 } },
];

const missing = existsSync(PLUGIN) ? '' : ' (no plugin: pkg-config knows no libdpdk)';
describe.skipIf(missing !== '')(`rules on dpdk ports${missing}`, () => {
  let folder: string;
  let device: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'wirelet-dpdk-rules-'));
    device = buildDevice(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  function run(rules: object[], shapes: Shapes, offload: string, env: object = {}) {
    const packets = packetsOf(PACKETS, shapes);
    writeFileSync(join(folder, 'in.pcap'), encodeCapture(packets, 1e9));
    rmSync(join(folder, 'out.pcap'), { force: true });
    const wire = {
      device: 'dpdk:net_pcap0,rx_pcap=in.pcap,tx_pcap=out.pcap?rxd=128&txd=128',
      offload,
    };
    const config = {
      frames: 4096,
      ports: { wire },
      forward: { wire: 'wire' },
      programs: { mark: join(HERE, 'mark') },
      rules: { wire: rules },
      control: { socket: false },
    };
    const argument = JSON.stringify({ config, directory: folder, packets: PACKETS });
    const output = execFileSync(process.execPath, [join(HERE, 'rules.js'), argument], {
      encoding: 'utf8',
      env: { ...process.env, LD_PRELOAD: device, FLOWS_LOG: join(folder, 'log'), ...env },
      timeout: 60_000,
    });
    const outcome = JSON.parse(output.trim().split('\n').at(-1) ?? '') as Outcome;
    const sent = outcome.error ? [] : decodeCapture(readFileSync(join(folder, 'out.pcap')));
    return { ...outcome, sent: sent.map((bytes) => Buffer.from(bytes).toString('hex')) };
  }

  const hits = ({ wire }: Outcome) => wire.rules?.hits.map(({ packets }) => packets);

  test('packets are dropped and marked as by the engine, and rules are counted', () => {
    const inEngine = run(RULES, 'all', 'never');
    const inDevice = run(RULES, 'all', 'auto');
    expect(inEngine.wire.rules).toMatchObject({ where: 'native', refused: '' });
    expect(inDevice.wire.rules).toMatchObject({ where: 'hardware', refused: '' });
    expect(hits(inDevice)).toEqual(hits(inEngine));
    // Rules and packets that never meet would agree, too.
    for (const packets of hits(inEngine) ?? []) expect(packets).toBeGreaterThan(5);
    expect(inDevice.sent).toEqual(inEngine.sent);
    const dropped = inEngine.wire.drops.rule;
    expect(dropped).toBeGreaterThan(200);
    expect(inEngine.wire).toMatchObject({ rx: PACKETS, forwarded: PACKETS - dropped });
    // What the device drops never comes.
    expect(inDevice.wire).toMatchObject({ rx: PACKETS - dropped, forwarded: PACKETS - dropped });
    expect([inDevice.wire.dropped, inDevice.framesUsed]).toEqual([0, 0]);
    const [, created, destroyed] =
      /^(\d+) created, (\d+) destroyed/.exec(readFileSync(join(folder, 'log'), 'utf8')) ?? [];
    expect(Number(created)).toBeGreaterThan(RULES.length);
    expect(destroyed).toBe(created);
  });

  test('one rule that the device refuses leaves all to the engine', () => {
    const refused = run(RULES, 'all', 'auto', { FLOWS_REFUSE: '5' });
    expect(refused.wire.rules).toMatchObject({
      where: 'native',
      refused: expect.stringMatching(/the driver refuses rule 5: no room in the device/),
    });
    expect(refused.wire.rx).toBe(PACKETS);
    expect(refused.wire.drops.rule).toBeGreaterThan(200);
    expect(readFileSync(join(folder, 'log'), 'utf8')).toMatch(/^(\d+) created, \1 destroyed/);
    const { error } = run(RULES, 'all', 'always', { FLOWS_REFUSE: '5' });
    expect(error).toMatchObject({
      code: 'WIRELET_E_RULES',
      message: expect.stringContaining('"always", but the driver refuses rule 5'),
    });
  });

  test('a device that does not count says so', () => {
    const rules = RULES.filter(({ action }) => !('drop' in action));
    const { wire, sent } = run(rules, 'all', 'auto', { FLOWS_COUNT: 'no' });
    expect(wire.rules?.where).toBe('hardware');
    expect(new Set(hits({ wire, framesUsed: 0 }))).toEqual(new Set([null]));
    expect(sent).toEqual(run(rules, 'all', 'never').sent);
  });

  test('what devices read in their own ways is theirs only if asked', () => {
    const auto = run(LOOSE_RULES, 'plain', 'auto');
    expect(auto.wire.rules?.where).toBe('native');
    expect(auto.wire.rules?.refused).toContain('IPv6 extension headers');
    const always = run(LOOSE_RULES, 'plain', 'always');
    expect(always.wire.rules?.where).toBe('hardware');
    expect(hits(always)).toEqual(hits(auto));
    expect(always.sent).toEqual(auto.sent);
    for (const packets of hits(auto) ?? []) expect(packets).toBeGreaterThan(5);
  });
});
