/** Rules of ports: their shape in a config, what they may say, and how they are told. */
import { isIPv4, isIPv6 } from 'node:net';
import { z } from 'zod';
import { LCORES_MAX, RULES_MAX } from '../abi.js';
import type { NativeRule } from '../native.js';
import type { Finding } from './issues.js';

/** 4095 is reserved (IEEE 802.1Q). */
const VLAN_MAX = 4094;
/** What is less is a length (IEEE 802.3). */
const ETHER_TYPE_MIN = 0x600;
const U16_MAX = 0xffff;
const U32_MAX = 0xffff_ffff;
const PROTOCOLS = { icmp: 1, tcp: 6, udp: 17, icmp6: 58, sctp: 132 } as const;
const ETHER_TYPES = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
/** Protocols whose ports are read. */
const WITH_PORTS: readonly number[] = [PROTOCOLS.tcp, PROTOCOLS.udp, PROTOCOLS.sctp];

const ports = z.union([
  z.int().min(0).max(U16_MAX),
  z.string().regex(/^\d{1,5}-\d{1,5}$/, 'a port is a number, or the first and last as "53-80"'),
]);
const address = z.string().min(1);
const protocolNames = z.enum(Object.keys(PROTOCOLS) as (keyof typeof PROTOCOLS)[]);
const etherTypeNames = z.enum(Object.keys(ETHER_TYPES) as (keyof typeof ETHER_TYPES)[]);

export const ruleMatchObject = z.strictObject({
  vlan: z
    .union([z.int().min(0).max(VLAN_MAX), z.literal('none')])
    .optional()
    .describe('VLAN of the outermost tag, or "none" for packets without one; default any or none.'),
  etherType: z
    .union([z.int().min(ETHER_TYPE_MIN).max(U16_MAX), etherTypeNames])
    .optional()
    .describe('EtherType behind up to two VLAN tags.'),
  source: address.optional().describe('Source address or prefix, IPv4 or IPv6.'),
  destination: address.optional().describe('Destination address or prefix.'),
  protocol: z
    .union([z.int().min(0).max(255), protocolNames])
    .optional()
    .describe('What the IP packet holds, behind IPv6 extension headers.'),
  sourcePort: ports
    .optional()
    .describe('Source port, or "first-last"; needs `protocol`; later fragments have none.'),
  destinationPort: ports.optional().describe('Destination port, or "first-last".'),
});

export const ruleActionObject = z.strictObject({
  drop: z.literal(true).optional().describe('Drop it, counted as `rule`.'),
  pass: z.literal(true).optional().describe('Let it go on as if there were no rules.'),
  queue: z
    .int()
    .min(0)
    .max(LCORES_MAX - 1)
    .optional()
    .describe('Take it to the lcore that serves this queue of the port.'),
  mark: z.int().min(0).max(U32_MAX).optional().describe('Mark it: `packet.mark` in programs.'),
});

export const ruleObject = z.strictObject({
  match: ruleMatchObject.describe('All of this must hold; `{}` matches every packet.'),
  action: ruleActionObject.describe('What becomes of it.'),
});

export const portRules = z
  .array(ruleObject)
  .max(RULES_MAX)
  .describe('Rules of a port; the first that matches a packet decides, before any program.');

export const offload = z
  .enum(['auto', 'never', 'always'])
  .describe(
    'Who carries out the rules: the hardware where it means the same by them, else the engine; ' +
      'never the hardware; always the hardware, even where it reads packets its own way. ' +
      'Default auto.',
  );

export type RuleConfig = z.input<typeof ruleObject>;

/** The rules of one port for the engine; what contradicts itself becomes a finding. */
export function resolveRules(
  rules: readonly RuleConfig[],
  path: string,
  findings: Finding[],
): NativeRule[] {
  return rules.map((rule, index) => resolveRule(rule, `${path}[${index}]`, findings));
}

function resolveRule(rule: RuleConfig, path: string, findings: Finding[]): NativeRule {
  const { match } = rule;
  const problem = (where: string, message: string) =>
    findings.push({ code: 'WIRELET_E_CONFIG_INVALID', path: `${path}.${where}`, message });
  const action = resolveAction(rule.action, (message) => problem('action', message));
  const families = (['source', 'destination'] as const).flatMap((key) => {
    const text = match[key];
    if (text === undefined) return [];
    const family = familyOf(text);
    if (family === undefined) problem(`match.${key}`, `"${text}" is no address or prefix`);
    return family ?? [];
  });
  const etherType = numberOf(match.etherType, ETHER_TYPES);
  const protocol = numberOf(match.protocol, PROTOCOLS);
  const resolved: NativeRule = { ...action };
  for (const key of ['sourcePort', 'destinationPort'] as const) {
    const range = rangeOf(match[key]);
    if (range === undefined) continue;
    resolved[key] = range;
    const [first, last] = range;
    if (first > last || last > U16_MAX) problem(`match.${key}`, `${first}-${last} are no ports`);
    if (protocol === undefined || !WITH_PORTS.includes(protocol)) {
      problem(`match.${key}`, 'ports need `protocol`: "tcp", "udp" or "sctp"');
    }
  }
  const isIp = etherType === undefined || etherType === 0x0800 || etherType === 0x86dd;
  if (!isIp && (families.length > 0 || protocol !== undefined)) {
    problem('match.etherType', 'packets of this type have no IP addresses and no protocol');
  }
  const types = [...families, ...(isIp && etherType !== undefined ? [etherType] : [])];
  if (new Set(types).size > 1) problem('match', 'no packet is of IPv4 and of IPv6');
  if (match.vlan !== undefined) resolved.vlan = match.vlan === 'none' ? -1 : match.vlan;
  if (etherType !== undefined) resolved.etherType = etherType;
  if (protocol !== undefined) resolved.protocol = protocol;
  if (match.source !== undefined) resolved.source = match.source;
  if (match.destination !== undefined) resolved.destination = match.destination;
  return resolved;
}

function resolveAction(
  { drop, pass, queue, mark }: RuleConfig['action'],
  problem: (message: string) => void,
): NativeRule {
  const goesOn = queue !== undefined || mark !== undefined;
  const said = [drop === true, pass === true, goesOn].filter(Boolean).length;
  if (said !== 1) problem('must be one of `drop`, `pass`, or `queue` and `mark`, one or both');
  return {
    drop: drop === true,
    ...(queue === undefined ? {} : { queue }),
    ...(mark === undefined ? {} : { mark }),
  };
}

/** EtherType of the addresses in a prefix. */
function familyOf(text: string): number | undefined {
  const [, address = '', bits] = /^([0-9a-fA-F.:]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const [type, most] = isIPv4(address) ? [0x0800, 32] : [0x86dd, 128];
  const isAddress = isIPv4(address) || isIPv6(address);
  return isAddress && Number(bits ?? 0) <= most ? type : undefined;
}

function numberOf<Name extends string>(
  value: number | Name | undefined,
  names: Readonly<Record<Name, number>>,
): number | undefined {
  return typeof value === 'string' ? names[value] : value;
}

function rangeOf(value: number | string | undefined): [number, number] | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number') return [value, value];
  const [first = 0, last = 0] = value.split('-').map(Number);
  return [first, last];
}

/**
 * A rule in a line: `vlan 7, udp, from 10.0.0.0/8 port 53: queue 1, mark 42`.
 *
 * ```ts
 * ruleText({ protocol: 17, destinationPort: [53, 53], drop: true }); // 'udp, to port 53: drop'
 * ```
 */
export function ruleText(rule: NativeRule): string {
  const { vlan, etherType, protocol, source, destination, drop, queue, mark } = rule;
  const when = [
    vlan === undefined ? '' : vlan < 0 ? 'untagged' : `vlan ${vlan}`,
    etherType === undefined ? '' : nameOf(ETHER_TYPES, etherType, `0x${etherType.toString(16)}`),
    protocol === undefined ? '' : nameOf(PROTOCOLS, protocol, `protocol ${protocol}`),
    endText('from', source, rule.sourcePort),
    endText('to', destination, rule.destinationPort),
  ].filter((part) => part !== '');
  const action = [
    drop ? 'drop' : '',
    queue === undefined ? '' : `queue ${queue}`,
    mark === undefined ? '' : `mark ${mark}`,
  ].filter((part) => part !== '');
  return `${when.join(', ') || 'all'}: ${action.join(', ') || 'pass'}`;
}

function endText(word: string, address: string | undefined, range: [number, number] | undefined) {
  if (address === undefined && range === undefined) return '';
  const [first, last] = range ?? [0, 0];
  const port = first === last ? `port ${first}` : `ports ${first}-${last}`;
  return [word, ...(address === undefined ? [] : [address]), ...(range ? [port] : [])].join(' ');
}

function nameOf(names: Readonly<Record<string, number>>, value: number, otherwise: string): string {
  return Object.entries(names).find(([, number]) => number === value)?.[0] ?? otherwise;
}
