/** `wirelet replay`: what would these programs do to that traffic? */
import { WireletError } from '../error.js';
import { faultText } from '../fault.js';
import { loadProgram } from '../program.js';
import { type ReplayResult, replay, uniqueNames } from '../replay.js';
import { grouped } from '../terminal/numbers.js';
import type { Output } from '../terminal/output.js';
import { conservationText, dropsText, programsText } from '../terminal/stats-text.js';
import { tableText } from '../terminal/table.js';
import type { Call } from './command.js';
import { readSettings } from './settings-options.js';

/** Reports that are printed; --json has more. */
const FAULTS_SHOWN = 5;

export async function run({ arguments: sources, options, output }: Call): Promise<number> {
  const input = options.required('in');
  const out = options.text('out');
  const loaded = await Promise.all(sources.map((source) => loadProgram(source)));
  const names = uniqueNames(loaded);
  const programs = loaded.map((program, index) => ({ ...program, name: names[index] ?? '' }));
  const result = await replay({
    programs,
    settings: await readSettings(options, names),
    in: input,
    ...(out === undefined ? {} : { out }),
    onLog: (program, text) => output.message(`[${program}] ${text}`),
  });
  const faults = result.programs.reduce((sum, program) => sum + program.faults, 0);
  reportFaults(result, faults, output);
  refuseUnreadable(result);
  for (const error of result.errors) output.problem(error);
  output.result(replayText(result, output, out));
  const { stats: _stats, ...data } = result;
  output.json('wirelet.replay/1', data);
  if (result.errors.length > 0) return result.errors[0]?.exitStatus ?? 1;
  return faults > 0 && !options.flag('allowFaults') ? 1 : 0;
}

/** A file that broke off before its first record is an error; later, a result with an error. */
function refuseUnreadable(result: ReplayResult): void {
  const [error] = result.errors;
  const skipped = Object.values(result.skipped).reduce((sum, count) => sum + count, 0);
  if (error instanceof WireletError && result.packets + skipped === 0) throw error;
}

function reportFaults({ faults }: ReplayResult, count: number, output: Output): void {
  for (const fault of faults.slice(0, FAULTS_SHOWN)) {
    output.report((colors) => faultText(fault, colors));
  }
  if (count > FAULTS_SHOWN) output.message(`and ${grouped(count - FAULTS_SHOWN)} more faults`);
}

function replayText(result: ReplayResult, output: Output, out: string | undefined): string {
  const { packets, bytes, verdicts, skipped, written, stats } = result;
  const lines = [`${grouped(packets)} packets, ${grouped(bytes)} bytes`];
  const reasons = Object.entries(skipped).map(([reason, count]) => `${reason} ${grouped(count)}`);
  if (reasons.length > 0) lines.push(`skipped: ${reasons.join(', ')}`);
  const outcome = Object.entries(verdicts).map(([name, count]) => `${name} ${grouped(count)}`);
  lines.push(`verdicts: ${outcome.join(', ')}`);
  const port = Object.values(stats.ports)[0];
  if (port && port.dropped > 0) lines.push(`drops: ${dropsText(port)}`);
  if (out !== undefined) lines.push(`written: ${grouped(written)} packets to ${out}`);
  const parts = [lines.join('\n'), programsText(stats), countersText(result.counters)];
  parts.push(conservationText(stats, output.colors));
  return parts.filter((part) => part !== '').join('\n\n');
}

/** Counters of programs that have some. */
export function countersText(counters: Record<string, bigint>): string {
  const rows = Object.entries(counters).map(([name, value]) => [name, grouped(value)]);
  if (rows.length === 0) return '';
  return tableText([{ title: 'counter' }, { title: 'value', align: 'right' }], rows);
}
