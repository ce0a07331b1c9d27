/** What `wirelet dev` says. */
import type { Appliance } from '../appliance.js';
import { shownPath } from '../program.js';
import { lossText, tablesText } from '../terminal/change-text.js';
import type { Colors } from '../terminal/color.js';
import { duration } from '../terminal/numbers.js';
import { tableText } from '../terminal/table.js';
import type { Reloaded } from './session.js';

const NS_PER_MS = 1e6;
const WORTH_A_WORD_MS = 0.001;

export const KEYS: readonly (readonly [string, string])[] = [
  ['r', 'read everything anew'],
  ['t', 'table of each second, on and off'],
  ['s', 'statistics, once'],
  ['q', 'quit'],
  ['h', 'this'],
];

/** `ready in 812 ms`, then ports, programs and the control socket. */
export function readyText(
  { config, generation }: Appliance,
  { file, socket, ms, keys }: { file: string; socket?: string; ms: number; keys: boolean },
  colors: Colors,
): string {
  const { ports, programs, lcores } = config;
  const count = `${lcores.length} ${lcores.length === 1 ? 'lcore' : 'lcores'}`;
  const portRows = ports.map(({ name, device, forward }) => {
    const to = ports[forward]?.name;
    return ['port', name, to === undefined ? device : `${device} → ${to}`];
  });
  const programRows = programs.map(({ name, source }) => ['program', name, shownPath(source)]);
  const control = socket === undefined ? [] : [['control', '', socket]];
  const rows = [['config', '', shownPath(file)], ...portRows, ...programRows, ...control];
  const table = tableText([{ title: '' }, { title: '' }, { title: '' }], rows);
  return [
    `${colors.green(colors.bold('ready'))} in ${duration(ms * NS_PER_MS)}, ${count}, ` +
      `generation ${generation}; ${keys ? 'press h for help' : '^C ends it'}`,
    ...table
      .split('\n')
      .slice(1)
      .map((line) => `  ${line}`),
  ].join('\n');
}

/** `h` and what it stands for, and so on. */
export function helpText(colors: Colors): string {
  return KEYS.map(([key, text]) => `  ${colors.bold(key)}  ${text}`).join('\n');
}

/**
 * `guard: generation 3 → 4 in 143 ms (watch 6 ms, compile 98 ms, ...), packets lost: 0`: from the
 * save until every lcore had taken over.
 */
export function reloadedText({ change, plan, watchMs }: Reloaded, colors: Colors): string {
  if (!change?.timesMs) {
    const options = plan.actions.some(({ kind }) => kind === 'option');
    return colors.dim(options ? 'options changed, no new generation' : 'no changes');
  }
  const { programs, from, to, timesMs, loss, reason } = change;
  const { compiler, build, compile, instantiate, copy, adopt, total } = timesMs;
  const steps = {
    watch: watchMs,
    compile: compiler,
    check: build - compiler,
    'machine code': compile,
    instantiate,
    copy,
    publish: adopt,
  };
  const texts = Object.entries(steps)
    .filter(([, ms]) => ms > WORTH_A_WORD_MS)
    .map(([name, ms]) => `${name} ${duration(ms * NS_PER_MS)}`);
  const names = programs.length === 0 ? 'pipelines' : programs.join(', ');
  const lost = loss ? lossText(loss) : 'unknown';
  const all = duration((watchMs + build + total) * NS_PER_MS);
  const head = `${colors.bold(names)}: generation ${from} → ${to} in ${all} (${texts.join(', ')})`;
  const lines = [`${head}, packets lost: ${lost}${reason === '' ? '' : `: ${reason}`}`];
  return [...lines, ...tablesText(change).map((line) => `  ${line}`)].join('\n');
}
