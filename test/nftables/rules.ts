/** Rules in the words of `programs/firewall`, and the same in those of nftables. */
import type { Random } from './random.js';

/** Interfaces of the router, by the number of the port of arrival. */
export const INTERFACES = ['one', 'two'] as const;

interface End {
  prefix?: string;
  ports?: readonly [number, number];
}

export interface Rule {
  allows: boolean;
  /** A number is any other protocol. */
  protocol?: 'tcp' | 'udp' | 'icmp' | 'icmpv6' | number;
  in?: 0 | 1;
  from: End;
  to: End;
}

/** Prefixes of one family: some are of hosts that there are, some of none. */
const PREFIXES = {
  4: ['10.1.0.0/16', '10.2.0.0/16', '10.1.0.1', '10.2.0.2/31', '10.2.0.64/26', '0.0.0.0/0'],
  6: ['fd01::/64', 'fd02::/64', 'fd01::1', 'fd02::2/127', 'fd02::40/122', '::/0'],
} as const;
const PORTS = [
  [80, 80],
  [53, 443],
  [1024, 30000],
  [30001, 65535],
] as const;

/** A list of rules, in which every protocol has a chance. */
export function randomRules(random: Random): Rule[] {
  return Array.from({ length: 6 + random.below(8) }, () => randomRule(random));
}

function randomRule(random: Random): Rule {
  const protocol = random.pick(['tcp', 'tcp', 'udp', 'udp', 'icmp', 'icmpv6', 253, undefined]);
  const family = protocol === 'icmp' ? 4 : protocol === 'icmpv6' ? 6 : random.pick([4, 6]);
  const hasPorts = protocol === 'tcp' || protocol === 'udp';
  const end = (percent: number): End => ({
    ...(random.chance(percent) ? { prefix: random.pick(PREFIXES[family]) } : {}),
    ...(hasPorts && random.chance(20) ? { ports: random.pick(PORTS) } : {}),
  });
  const rule = { allows: random.chance(75), from: end(25), to: end(25) };
  const arrival = random.chance(30) ? { in: random.pick([0, 1] as const) } : {};
  return { ...rule, ...arrival, ...(protocol === undefined ? {} : { protocol }) };
}

/** For the setting `rules`. */
export function firewallRule({ allows, protocol, in: arrival, from, to }: Rule): string {
  const end = (word: string, { prefix = 'any', ports }: End) => [
    word,
    prefix,
    ...(ports ? ['port', ports.join('-')] : []),
  ];
  return [
    allows ? 'allow' : 'deny',
    ...(typeof protocol === 'number' ? ['protocol', protocol] : [protocol ?? 'any']),
    ...(arrival === undefined ? [] : ['in', arrival]),
    ...end('from', from),
    ...end('to', to),
  ].join(' ');
}

/** Of a chain of the family inet. */
function nftablesRule({ allows, protocol, in: arrival, from, to }: Rule): string {
  const address = (word: string, prefix: string) =>
    `${prefix.includes(':') ? 'ip6' : 'ip'} ${word} ${prefix}`;
  const end = (word: 's' | 'd', { prefix, ports }: End) => [
    ...(prefix === undefined ? [] : [address(`${word}addr`, prefix)]),
    ...(ports ? [`${protocol} ${word}port ${ports.join('-')}`] : []),
  ];
  const families = { icmp: ['meta nfproto ipv4'], icmpv6: ['meta nfproto ipv6'] } as const;
  const family = protocol === 'icmp' || protocol === 'icmpv6' ? families[protocol] : [];
  return [
    ...(arrival === undefined ? [] : [`iifname "${INTERFACES[arrival]}"`]),
    ...family,
    ...(protocol === undefined ? [] : [`meta l4proto ${protocol}`]),
    ...end('s', from),
    ...end('d', to),
    allows ? 'accept' : 'drop',
  ].join(' ');
}

/** A ruleset that forwards what the firewall passes with the same rules and policy. */
export function nftablesRuleset(rules: readonly Rule[], allows: boolean): string {
  return [
    'table inet firewall {',
    '  chain forward {',
    `    type filter hook forward priority 0; policy ${allows ? 'accept' : 'drop'};`,
    '    ct state invalid drop',
    '    ct state established,related accept',
    ...rules.map((rule) => `    ${nftablesRule(rule)}`),
    '  }',
    '}',
    '',
  ].join('\n');
}
