/** `wirelet status`: how is the appliance that runs here? */
import type { Status, StatusFault } from '../control/status.js';
import { shownPath } from '../program.js';
import { changeText } from '../terminal/change-text.js';
import { duration, grouped, percent } from '../terminal/numbers.js';
import { indent, tableText } from '../terminal/table.js';
import { withAppliance } from './appliance-client.js';
import type { Call } from './command.js';

const NS_PER_MS = 1e6;

export async function run(call: Call): Promise<number> {
  const status = await withAppliance(
    call,
    async (client) => (await client.ask('status', {})) as Status,
  );
  call.output.result(statusText(status));
  call.output.json('wirelet.status/1', status);
  return 0;
}

/** Everything, the most important first. */
export function statusText(status: Status): string {
  const { name, pid, generation, uptimeMs, config, socket } = status;
  const up = duration(uptimeMs * NS_PER_MS);
  const head = [`${name} (pid ${pid}): generation ${generation}, up ${up}`, `socket ${socket}`];
  if (config !== '') head.push(`config ${shownPath(config)}`);
  const parts = [head.join('\n'), portsText(status), programsText(status), lcoresText(status)];
  const changes = status.changes.map((change) => `${timeText(change.at)} ${changeText(change)}`);
  if (changes.length > 0) parts.push(`last changes\n${indent(changes.join('\n'))}`);
  const faults = status.faults.map(faultText);
  if (faults.length > 0) parts.push(`last faults\n${indent(faults.join('\n'))}`);
  return parts.filter((part) => part !== '').join('\n\n');
}

function portsText({ ports }: Status): string {
  const columns = ['port', 'link', 'device'].map((title) => ({ title }));
  const rows = ports.map(({ name, link, finished, device }) => [
    name,
    finished ? 'ended' : link,
    device,
  ]);
  return tableText(columns, rows);
}

function programsText({ programs }: Status): string {
  if (programs.length === 0) return '';
  const columns = [
    { title: 'program' },
    { title: 'health' },
    ...['packets', 'faults', 'rebuilds'].map((title) => ({ title, align: 'right' as const })),
    { title: 'source' },
  ];
  const rows = programs.map(({ tenant, name, health, packets, faults, rebuilds, source }) => [
    `${tenant}/${name}`,
    health,
    grouped(packets),
    grouped(faults),
    grouped(rebuilds),
    shownPath(source),
  ]);
  return tableText(columns, rows);
}

function lcoresText({ lcores }: Status): string {
  const columns = [
    { title: 'lcore' },
    { title: 'cpu' },
    { title: 'state' },
    ...['generation', 'busy'].map((title) => ({ title, align: 'right' as const })),
  ];
  const rows = lcores.map(({ cpu, state, generation, busy }, index) => [
    String(index),
    cpu < 0 ? 'any' : String(cpu),
    state,
    String(generation),
    percent(busy),
  ]);
  return tableText(columns, rows);
}

function faultText(fault: StatusFault): string {
  const { tenant, program, generation, lcore, code, message, place, saved } = fault;
  const where = [place, `generation ${generation}`, `lcore ${lcore}`].filter((each) => each !== '');
  const file = saved === undefined ? '' : `, packet: ${saved}`;
  return `${tenant}/${program}: ${code}: ${message} (${where.join(', ')}${file})`;
}

/** `12:34:56`, local. */
function timeText(at: number): string {
  return new Date(at).toTimeString().slice(0, 8);
}
