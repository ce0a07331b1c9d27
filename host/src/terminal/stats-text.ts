/** Stats as tables: ports, programs, lcores, and whether every packet is accounted for. */
import { conservation } from '../stats/conservation.js';
import type { PortStats, ProgramStats, Stats } from '../stats/stats.js';
import type { Colors } from './color.js';
import { duration, grouped, percent, short } from './numbers.js';
import { type Column, tableText } from './table.js';

const right = (title: string): Column => ({ title, align: 'right' });

/** Everything; with `before`, rates between the two. */
export function statsText(stats: Stats, colors: Colors, before?: Stats): string {
  const parts = [portsText(stats, before), programsText(stats), lcoresText(stats, before)];
  return [...parts.filter((part) => part !== ''), conservationText(stats, colors)].join('\n\n');
}

function portsText(stats: Stats, before: Stats | undefined): string {
  const columns = [
    { title: 'port' },
    { title: 'link' },
    right('received'),
    right('per s'),
    right('forwarded'),
    right('sent'),
    right('dropped'),
    { title: 'why' },
  ];
  const rows = Object.entries(stats.ports).map(([name, port]) => [
    name,
    port.finished ? 'ended' : port.link,
    grouped(port.rx),
    short(rate(stats, before, (other) => other.ports[name]?.rx)),
    grouped(port.forwarded),
    grouped(port.tx),
    grouped(port.dropped),
    dropsText(port),
  ]);
  return [tableText(columns, rows), ...xstatsLines(stats), ...rulesLines(stats)].join('\n');
}

/** `in: generated 600,000`: what interfaces are, and what devices count beside, if it happened. */
function xstatsLines(stats: Stats): string[] {
  return Object.entries(stats.ports).flatMap(([name, port]) => {
    const happened = Object.entries(port.xstats).filter(([, count]) => count > 0);
    const texts = happened.map(([xstat, count]) => `${xstat} ${grouped(count)}`);
    const all = [...interfaceTexts(port), ...waysTexts(port), ...texts];
    return all.length === 0 ? [] : [`${name}: ${all.join(', ')}`];
  });
}

/** `in: rules, native`, and a line for each with its hits. */
function rulesLines({ ports }: Stats): string[] {
  return Object.entries(ports).flatMap(([name, { rules }]) => {
    if (rules === null) return [];
    const why = rules.refused === '' ? '' : ` (not in hardware: ${rules.refused})`;
    const hits = rules.hits.map(({ rule, packets }) => {
      return `  ${packets === null ? 'not counted' : grouped(packets)}  ${rule}`;
    });
    return [`${name}: rules, ${rules.where}${why}`, ...hits];
  });
}

function interfaceTexts({ mac, mtu, promiscuous }: PortStats): string[] {
  if (mac === null) return [];
  return [mac, `MTU ${grouped(mtu)}`, ...(promiscuous ? ['promiscuous'] : [])];
}

/** Where packets went that neither left by a port nor stayed on their lcore. */
function waysTexts({ punted, steered }: PortStats): string[] {
  const ways = [
    ['punted to the host', punted],
    ['steered to other lcores', steered],
  ] as const;
  return ways.flatMap(([way, count]) => (count > 0 ? [`${grouped(count)} ${way}`] : []));
}

/** `program 12, too_short 3`: the reasons that happened, the most frequent first. */
export function dropsText({ drops }: Pick<PortStats, 'drops'>): string {
  return Object.entries(drops)
    .filter(([, count]) => count > 0)
    .toSorted(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${reason} ${grouped(count)}`)
    .join(', ');
}

export function programsText(stats: Pick<Stats, 'programs'>): string {
  const columns = [
    { title: 'program' },
    ...['packets', 'ns/packet', 'pass', 'drop', 'redirect', 'punt', 'faults'].map(right),
    { title: '' },
  ];
  const rows = Object.entries(stats.programs).map(([name, program]) => programRow(name, program));
  return rows.length === 0 ? '' : tableText(columns, rows);
}

function programRow(name: string, program: ProgramStats): string[] {
  const { packets, nsPerPacket, verdicts, faults, health } = program;
  return [
    name,
    grouped(packets),
    nsPerPacket.toFixed(1),
    grouped(verdicts.pass),
    grouped(verdicts.drop),
    grouped(verdicts.redirect),
    grouped(verdicts.punt),
    grouped(faults),
    health === 'running' ? '' : health,
  ];
}

function lcoresText(stats: Stats, before: Stats | undefined): string {
  const columns = [
    { title: 'lcore' },
    { title: 'state' },
    right('busy'),
    right('packets/burst'),
    right('burst p50'),
    right('p99'),
    right('sleeps'),
  ];
  const rows = stats.lcores.map((lcore, index) => {
    const old = before?.lcores[index];
    const busyNs = lcore.busyNs - (old?.busyNs ?? 0);
    const allNs = busyNs + lcore.idleNs - (old?.idleNs ?? 0);
    return [
      String(index),
      lcore.state,
      percent(allNs === 0 ? 0 : busyNs / allNs),
      lcore.packetsPerBurst.toFixed(1),
      lcore.burstNs ? duration(lcore.burstNs.p50) : '-',
      lcore.burstNs ? duration(lcore.burstNs.p99) : '-',
      grouped(lcore.sleeps),
    ];
  });
  return tableText(columns, rows);
}

/** `in = out + drops: exact`, with the copies of floods where there are any, or what is missing. */
export function conservationText(stats: Pick<Stats, 'ports'>, colors: Colors): string {
  const { exact, difference, ports } = conservation(stats);
  const sum = (key: 'rx' | 'copies' | 'forwarded' | 'dropped') =>
    Object.values(ports).reduce((total, port) => total + port[key], 0);
  const copies = sum('copies');
  const [names, came] =
    copies === 0
      ? ['in', grouped(sum('rx'))]
      : ['in + copies', `${grouped(sum('rx'))} + ${grouped(copies)}`];
  const numbers = `${came} = ${grouped(sum('forwarded'))} + ${grouped(sum('dropped'))}`;
  if (exact) return `${names} = out + drops: ${colors.green('exact')} (${numbers})`;
  return `${names} = out + drops + in flight: ${numbers} + ${grouped(difference)}`;
}

/** A line for logs: what came in, left and was dropped since `before`, per second. */
export function statsLine(stats: Stats, before: Stats | undefined): string {
  const perSecond = (key: 'rx' | 'tx' | 'dropped') =>
    short(rate(stats, before, (other) => total(other, key)));
  const faults = stats.faults > 0 ? `, faults ${grouped(stats.faults)}` : '';
  const [rx, tx, dropped] = [perSecond('rx'), perSecond('tx'), perSecond('dropped')];
  return `in ${rx}/s, out ${tx}/s, dropped ${dropped}/s${faults}`;
}

function total(stats: Stats, key: 'rx' | 'tx' | 'dropped'): number {
  return Object.values(stats.ports).reduce((sum, port) => sum + port[key], 0);
}

/** Growth of a value per second since `before`, or since the start. */
function rate(
  stats: Stats,
  before: Stats | undefined,
  read: (stats: Stats) => number | undefined,
): number {
  const seconds = (stats.elapsedMs - (before?.elapsedMs ?? 0)) / 1000;
  const grown = (read(stats) ?? 0) - (before ? (read(before) ?? 0) : 0);
  return seconds <= 0 ? 0 : Math.round(grown / seconds);
}
