/** What `wirelet doctor` finds: one line of its table. */

/** `missing` is what the config needs and does not get; a `warning` is what could be better. */
export type CheckState = 'ok' | 'warning' | 'missing';

export interface Check {
  /** What was looked at: `CAP_NET_RAW`, `eth0`. */
  name: string;
  state: CheckState;
  /** What was found, a few words. */
  found: string;
  /** What mends it, most often a command; undefined where nothing has to be mended. */
  fix?: string;
}

/**
 * A check of something that is there or not: what the config needs is `missing` without it, what
 * it does not need is fine, and without a config nobody knows.
 *
 * `need` are the ports that need it; undefined without a config.
 */
export function presence(
  name: string,
  present: boolean,
  need: readonly string[] | undefined,
  { found, use, fix }: { found: string; use: string; fix: string },
): Check {
  if (present) return { name, state: 'ok', found };
  if (need === undefined) return { name, state: 'warning', found: `${found}; ${use}`, fix };
  if (need.length === 0) return { name, state: 'ok', found: `${found}, and not needed` };
  return { name, state: 'missing', found: `${found}; needed by ${need.join(', ')}`, fix };
}
