import picocolors from 'picocolors';
import { describe, expect, it } from 'vitest';
import { createAppliance } from '../src/appliance.js';
import { resolveConfig } from '../src/config/resolve.js';
import { type RuleConfig, ruleText } from '../src/config/rules.js';
import type { WireletConfig } from '../src/config/schema.js';
import { conservation } from '../src/stats/conservation.js';
import { statsText } from '../src/terminal/stats-text.js';
import { errorOf } from './error-of.js';

function resolvedRules(rules: unknown, port: unknown = 'null:') {
  const config = { ports: { wan: port, lan: 'null:' }, rules: { wan: rules } };
  return resolveConfig(config, { directory: '/app', env: {} }).ports[0]?.rules ?? [];
}

describe('rules of a config', () => {
  it('become numbers, and lines to be read', () => {
    const rules: RuleConfig[] = [
      {
        match: { vlan: 7, protocol: 'udp', source: '10.0.0.0/8', destinationPort: 53 },
        action: { queue: 1, mark: 42 },
      },
      { match: { vlan: 'none', etherType: 'arp' }, action: { pass: true } },
      {
        match: { protocol: 132, source: 'fd00::/8', sourcePort: '1024-65535' },
        action: { mark: 4_294_967_295 },
      },
      { match: {}, action: { drop: true } },
    ];
    const resolved = resolvedRules(rules);
    expect(resolved).toEqual([
      {
        vlan: 7,
        protocol: 17,
        source: '10.0.0.0/8',
        destinationPort: [53, 53],
        drop: false,
        queue: 1,
        mark: 42,
      },
      { vlan: -1, etherType: 0x0806, drop: false },
      {
        protocol: 132,
        source: 'fd00::/8',
        sourcePort: [1024, 65535],
        drop: false,
        mark: 4_294_967_295,
      },
      { drop: true },
    ]);
    expect(resolved.map(ruleText)).toEqual([
      'vlan 7, udp, from 10.0.0.0/8, to port 53: queue 1, mark 42',
      'untagged, arp: pass',
      'sctp, from fd00::/8 ports 1024-65535: mark 4294967295',
      'all: drop',
    ]);
  });

  const DROP = { drop: true };
  const CASES: [string, unknown, string, string][] = [
    ['no action', { match: {}, action: {} }, 'INVALID', 'rules.wan[0].action: must be one of'],
    ['two actions', { match: {}, action: { drop: true, queue: 1 } }, 'INVALID', 'must be one of'],
    ['a key', { match: { vlam: 7 }, action: DROP }, 'UNKNOWN_KEY', 'did you mean "vlan"?'],
    ['a vlan', { match: { vlan: 4095 }, action: DROP }, 'LIMIT', 'wan[0].match.vlan: must be at'],
    [
      'a prefix',
      { match: { source: '10.0.0.0/33' }, action: DROP },
      'INVALID',
      'rules.wan[0].match.source: "10.0.0.0/33" is no address or prefix',
    ],
    ['a name', { match: { source: 'fe80::1%eth0' }, action: DROP }, 'INVALID', 'is no address'],
    ['ports alone', { match: { sourcePort: 53 }, action: DROP }, 'INVALID', 'need `protocol`'],
    [
      'ports of ICMP',
      { match: { protocol: 'icmp', sourcePort: 53 }, action: DROP },
      'INVALID',
      'need `protocol`',
    ],
    [
      'ports from last to first',
      { match: { protocol: 'udp', sourcePort: '80-53' }, action: DROP },
      'INVALID',
      '80-53 are no ports',
    ],
    [
      'a port',
      { match: { protocol: 'udp', sourcePort: '1-99999' }, action: DROP },
      'INVALID',
      'no',
    ],
    [
      'both versions of IP',
      { match: { source: '10.0.0.1', destination: 'fd00::1' }, action: DROP },
      'INVALID',
      'no packet is of IPv4 and of IPv6',
    ],
    [
      'a version and the other',
      { match: { etherType: 'ipv6', source: '10.0.0.1' }, action: DROP },
      'INVALID',
      'no packet is of IPv4 and of IPv6',
    ],
    [
      'addresses of ARP',
      { match: { etherType: 'arp', source: '10.0.0.1' }, action: DROP },
      'INVALID',
      'no IP addresses',
    ],
  ];
  it.each(CASES)('refuse %s', (_name, rule, code, message) => {
    const error = errorOf(() => resolvedRules([rule]));
    expect(error.message).toContain(message);
    expect(error.code).toBe(`WIRELET_E_CONFIG_${code}`);
  });

  it('refuse more than 64, and ports that do not exist', () => {
    const rule = { match: {}, action: DROP };
    const many = Array.from({ length: 65 }, () => rule);
    expect(errorOf(() => resolvedRules(many)).code).toBe('WIRELET_E_CONFIG_LIMIT');
    const config = { ports: { wan: 'null:' }, rules: { wn: [rule] } };
    const error = errorOf(() => resolveConfig(config, { env: {} }));
    expect(error.message).toContain('rules.wn: unknown port "wn" — did you mean "wan"?');
  });
});

describe('rules that run', () => {
  const FLOWS = 'gen:?rate=200k&count=6000&ring=65536&flows=3';

  function config(rules: RuleConfig[], device = FLOWS): WireletConfig {
    return { ports: { in: device, out: 'sink:' }, forward: { in: 'out' }, rules: { in: rules } };
  }

  const ofFlow = (flow: number, action: RuleConfig['action']): RuleConfig => ({
    match: { etherType: 'ipv4', protocol: 'udp', sourcePort: 1024 + flow },
    action,
  });

  it('drop what they say, counted once, and are shown', async () => {
    const rules = [ofFlow(0, { drop: true }), ofFlow(1, { mark: 7 })];
    const appliance = await createAppliance(config(rules));
    appliance.start();
    await appliance.finished;
    const stats = await appliance.stop();
    const { in: wan, out } = stats.ports;
    const [first, second] = wan?.rules?.hits ?? [];
    expect(first?.packets).toBeGreaterThan(1500);
    expect(second?.packets).toBeGreaterThan(1500);
    expect(wan?.drops.rule).toBe(first?.packets);
    expect(wan?.dropped).toBe(first?.packets);
    expect(out?.tx).toBe(6000 - (first?.packets ?? 0));
    expect(conservation(stats).exact).toBe(true);
    expect(wan?.rules).toMatchObject({
      where: 'native',
      refused: 'the device has no rules of its own',
    });
    const text = statsText(stats, picocolors.createColors(false));
    expect(text).toContain(
      'in: rules, native (not in hardware: the device has no rules of its own)',
    );
    expect(text).toMatch(/\n {2}[\d,]+ {2}ipv4, udp, from port 1024: drop\n/);
  });

  it('are others after `apply`, and what a port cannot have is refused', async () => {
    const device = 'gen:?rate=50k&flows=3';
    const appliance = await createAppliance(config([], device));
    appliance.start();
    expect(appliance.stats().ports.in?.rules).toBeNull();
    const dropped = () => appliance.stats().ports.in?.drops.rule ?? 0;
    expect(dropped()).toBe(0);
    await appliance.apply(config([ofFlow(1, { drop: true })], device));
    await expect.poll(dropped).toBeGreaterThan(100);
    expect(appliance.stats().ports.in?.rules?.hits).toHaveLength(1);
    const beyond = appliance.apply(config([ofFlow(1, { queue: 3 })], device));
    await expect(beyond).rejects.toMatchObject({ code: 'WIRELET_E_RULES' });
    await appliance.apply(config([], device));
    expect(appliance.stats().ports.in?.rules).toBeNull();
    await appliance.stop();
  });
});
