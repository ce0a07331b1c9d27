/** What is stronger than the config file: the environment, and stronger still the command line. */
import { WireletError } from '../error.js';
import type { WireletConfig } from './schema.js';

/** Keys that flags and environment may set. */
export type Overrides = Pick<WireletConfig, 'lcores' | 'burst' | 'idle' | 'frames'>;

/**
 * `0,2` is a list of CPUs, `2` a number of lcores, `2,` CPU 2.
 * @throws WIRELET_E_USAGE, naming `source`
 */
export function parseLcores(text: string, source: string): number | number[] {
  if (/^\d+$/.test(text)) return Number(text);
  const parts = text.split(',').filter((part) => part !== '');
  if (parts.length > 0 && parts.every((part) => /^\d+$/.test(part))) return parts.map(Number);
  throw new WireletError(
    'WIRELET_E_USAGE',
    `${source}: "${text}" is neither a number of lcores nor a list of CPUs such as 0,1`,
  );
}

/** @throws WIRELET_E_USAGE, naming `source` */
export function parseWhole(text: string, source: string): number {
  if (/^\d+$/.test(text)) return Number(text);
  throw new WireletError('WIRELET_E_USAGE', `${source}: "${text}" is not a whole number`);
}

/** @throws WIRELET_E_USAGE, naming `source` */
export function parseIdle(text: string, source: string): 'adaptive' | 'poll' {
  if (text === 'adaptive' || text === 'poll') return text;
  throw new WireletError('WIRELET_E_USAGE', `${source}: "${text}" is not "adaptive" or "poll"`);
}

/** WIRELET_LCORES, WIRELET_BURST, WIRELET_IDLE and WIRELET_FRAMES. */
export function readEnvironment(env: Readonly<Record<string, string | undefined>>): Overrides {
  const read = <T>(name: string, parse: (text: string, source: string) => T): T | undefined => {
    const text = env[name];
    return text === undefined || text === '' ? undefined : parse(text, name);
  };
  return withoutUndefined({
    lcores: read('WIRELET_LCORES', parseLcores),
    burst: read('WIRELET_BURST', parseWhole),
    idle: read('WIRELET_IDLE', parseIdle),
    frames: read('WIRELET_FRAMES', parseWhole),
  });
}

/** Leaves out what is undefined, so that it does not hide what it should fall back to. */
export function withoutUndefined<T extends object>(
  values: { [K in keyof T]: T[K] | undefined },
): Partial<T> {
  const present = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as Partial<T>;
}
