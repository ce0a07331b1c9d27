/** `wirelet doctor`: does this machine give the appliance what it needs? */
import type { ConfigEnv } from '../config/define.js';
import { type LoadedConfig, loadConfig } from '../config/load.js';
import { resolveConfig } from '../config/resolve.js';
import type { Check, CheckState } from '../doctor/check.js';
import { type Diagnosis, diagnose } from '../doctor/doctor.js';
import { WireletError } from '../error.js';
import { shownPath } from '../program.js';
import type { Colors } from '../terminal/color.js';
import { tableText } from '../terminal/table.js';
import { socketOf } from './appliance-client.js';
import type { Call } from './command.js';

const EXIT_MISSING = 6;

export async function run({ arguments: [path], options, output }: Call): Promise<number> {
  const mode = options.text('mode');
  const loaded = await configOf(path ?? options.text('config'), {
    command: 'doctor',
    ...(mode === undefined ? {} : { mode }),
  });
  const diagnosis = loaded
    ? diagnose(resolveConfig(loaded.config, loaded), socketOf(loaded, options))
    : diagnose();
  output.result(doctorText(diagnosis, output.colors));
  output.json('wirelet.doctor/1', { config: loaded?.file ?? null, ...diagnosis });
  output.message(summaryText(diagnosis, loaded && shownPath(loaded.file)));
  return diagnosis.ok ? 0 : EXIT_MISSING;
}

/** The config that is named, or the working directory's if it has one. */
async function configOf(
  path: string | undefined,
  env: Partial<ConfigEnv>,
): Promise<LoadedConfig | undefined> {
  try {
    return await loadConfig(path ?? '.', env);
  } catch (thrown) {
    const isNone = thrown instanceof WireletError && thrown.code === 'WIRELET_E_CONFIG_NOT_FOUND';
    if (path === undefined && isNone) return undefined;
    throw thrown;
  }
}

/** A line for each check, and below it what mends it. */
export function doctorText({ checks }: Diagnosis, colors: Colors): string {
  const columns = [{ title: '' }, { title: 'check' }, { title: 'found' }];
  const rows = checks.flatMap(({ name, state, found, fix }) => [
    [stateText(state, colors), name, found],
    ...(fix === undefined ? [] : [['', '', colors.dim(`mend: ${fix}`)]]),
  ]);
  return tableText(columns, rows);
}

function stateText(state: CheckState, colors: Colors): string {
  const paint = { ok: colors.green, warning: colors.yellow, missing: colors.red }[state];
  return paint(state);
}

function summaryText({ checks }: Diagnosis, file: string | undefined): string {
  const count = (state: CheckState) =>
    checks.filter((check: Check) => check.state === state).length;
  const [missing, warnings] = [count('missing'), count('warning')];
  const better = `${warnings} warning${warnings === 1 ? '' : 's'}`;
  if (file === undefined) return `no config here: the machine in general; ${better}`;
  return missing === 0
    ? `${file} can run here; ${better}`
    : `${file}: ${missing} missing, ${better}`;
}
