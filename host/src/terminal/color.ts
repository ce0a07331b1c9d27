/** Whether a stream gets colours: stdout may be a file while stderr is a terminal. */
import picocolors from 'picocolors';

export type Colors = ReturnType<typeof picocolors.createColors>;

export interface ColorRequest {
  isTTY?: boolean | undefined;
  env: Readonly<Record<string, string | undefined>>;
  /** `--no-color`. */
  off: boolean;
}

/** NO_COLOR and --no-color switch off, FORCE_COLOR on; else a TTY that is not dumb has colours. */
export function wantsColor({ isTTY, env, off }: ColorRequest): boolean {
  if (off || isSet(env.NO_COLOR)) return false;
  const forced = env.FORCE_COLOR;
  if (isSet(forced)) return forced !== '0' && forced !== 'false';
  return isTTY === true && env.TERM !== 'dumb';
}

export function colorsFor(request: ColorRequest): Colors {
  return picocolors.createColors(wantsColor(request));
}

function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}
