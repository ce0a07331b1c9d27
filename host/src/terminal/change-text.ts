/** Plans, swaps and rollbacks as people read them. */
import type { GenerationChange } from '../generations.js';
import type { Action, Change, Plan } from '../plan.js';
import type { PacketLoss } from '../stats/loss.js';
import type { Colors } from './color.js';
import { duration, grouped } from './numbers.js';

const NS_PER_MS = 1e6;
/** A step that took less is not worth its word. */
const SHOWN_MS_MIN = 0.01;

/**
 * `guard: generation 3 → 4 in 182 ms (build 140 ms, ...), packets lost: 0`.
 * What took no time worth a word is left out.
 */
export function changeText(change: GenerationChange): string {
  const { kind, from, to, programs, timesMs, loss, automatic, reason } = change;
  const names = programs.length === 0 ? 'pipelines' : programs.join(', ');
  const back = kind === 'rollback' ? 'rolled back' : 'generation';
  const parts = [`${names}: ${back} ${from} → ${to}`];
  if (timesMs) {
    const { build, compile, instantiate, copy, adopt, total } = timesMs;
    const steps = Object.entries({ build, compile, instantiate, copy, adopt })
      .filter(([, ms]) => ms >= SHOWN_MS_MIN)
      .map(([name, ms]) => `${name} ${duration(ms * NS_PER_MS)}`);
    parts.push(` in ${duration((build + total) * NS_PER_MS)} (${steps.join(', ')})`);
  }
  if (loss) parts.push(`, packets lost: ${lossText(loss)}`);
  if (reason !== '') parts.push(automatic ? ` by itself: ${reason}` : `: ${reason}`);
  return parts.join('');
}

/** `0`, or `12 (missed 10, program_down 2)`. */
export function lossText({ packets, missed, drops }: PacketLoss): string {
  if (packets === 0) return '0';
  const reasons = Object.entries(missed > 0 ? { missed, ...drops } : drops);
  const texts = reasons.map(([reason, count]) => `${reason} ${grouped(count)}`);
  return `${grouped(packets)} (${texts.join(', ')})`;
}

/** What became of tables; one that is attached as it was needs no word. */
export function tablesText({ tables }: Pick<GenerationChange, 'tables'>): string[] {
  return tables
    .filter(({ action }) => action !== 'attach')
    .map(({ program, table, action }) => `table ${program}/${table}: ${action}`);
}

/** A line for each action, and one on top that says how many change something. */
export function planText({ generation, actions }: Plan, colors: Colors): string {
  const changing = actions.filter((action) => action.kind !== 'keep' && !isAttach(action));
  const count = changing.length === 1 ? '1 change' : `${changing.length} changes`;
  const head = `generation ${generation} runs, ${changing.length === 0 ? 'no changes' : count}`;
  return [head, ...actions.map((action) => `  ${actionText(action, colors)}`)].join('\n');
}

function isAttach(action: Action): boolean {
  return action.kind === 'table' && action.action === 'attach';
}

function actionText(action: Action, colors: Colors): string {
  switch (action.kind) {
    case 'add':
      return colors.green(`+ ${action.program}`);
    case 'remove':
      return colors.red(`- ${action.program}`);
    case 'keep':
      return colors.dim(`= ${action.program}`);
    case 'replace':
      return colors.yellow(`~ ${action.program}: ${action.changes.map(changePart).join(', ')}`);
    case 'port':
      return colors.yellow(`~ port ${action.port}: ${changePart(action)}`);
    case 'option':
      return colors.yellow(`~ ${changePart(action)}`);
    case 'table':
      return `  table ${action.program}/${action.table}: ${action.action}`;
    case 'restart':
      return colors.red(`! ${changePart(action)} (needs a restart)`);
  }
}

function changePart({ what, from, to }: Change): string {
  return `${what} ${from} → ${to}`;
}
