/** Device specs, `driver:where?option=value`: what the host needs to know of them. */
import { resolve } from 'node:path';
import { WireletError } from './error.js';
import { didYouMean } from './suggest.js';

/** The drivers of this version, in the order of the docs. */
export const DRIVERS = ['null', 'loop', 'ring', 'pcap', 'gen', 'sink'] as const;
export type Driver = (typeof DRIVERS)[number];

export interface DeviceSpec {
  driver: Driver;
  /** What stands between `:` and `?`. */
  target: string;
  /** What stands behind `?`. */
  query: string;
}

/**
 * Takes a spec apart. The driver's options are checked by the driver itself, when it opens.
 *
 * ```ts
 * parseDevice('gen:?rate=1M', 'ports.in'); // { driver: 'gen', target: '', query: 'rate=1M' }
 * ```
 * @throws WIRELET_E_CONFIG_UNKNOWN_DEVICE
 */
export function parseDevice(text: string, path: string): DeviceSpec {
  const colon = text.indexOf(':');
  const driver = colon < 0 ? text : text.slice(0, colon);
  const rest = colon < 0 ? '' : text.slice(colon + 1);
  if (!isDriver(driver)) {
    throw new WireletError(
      'WIRELET_E_CONFIG_UNKNOWN_DEVICE',
      `${path}: unknown driver "${driver}"${didYouMean(driver, DRIVERS)}`,
      { details: { path, driver, known: DRIVERS } },
    );
  }
  const mark = rest.indexOf('?');
  return {
    driver,
    target: mark < 0 ? rest : rest.slice(0, mark),
    query: mark < 0 ? '' : rest.slice(mark + 1),
  };
}

/** The spec with the files that it names made absolute, relative to `directory`. */
export function resolveDevice(text: string, directory: string, path: string): string {
  const { driver, target, query } = parseDevice(text, path);
  const suffix = query === '' ? '' : `?${query}`;
  if (driver !== 'pcap') return `${driver}:${target}${suffix}`;
  const comma = target.indexOf(',');
  const files = comma < 0 ? [target] : [target.slice(0, comma), target.slice(comma + 1)];
  const absolute = files.map((file) => (file === '' ? '' : resolve(directory, file)));
  return `pcap:${absolute.join(',')}${suffix}`;
}

function isDriver(name: string): name is Driver {
  return (DRIVERS as readonly string[]).includes(name);
}
