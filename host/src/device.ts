/**
 * Device specs, `driver:where?option=value`, and wrappers around them, `fault(loss=1%):tap:a`: what
 * the host needs to know of them.
 */
import { resolve } from 'node:path';
import { WireletError } from './error.js';
import { didYouMean } from './suggest.js';

/** The drivers of this version, in the order of the docs. */
export const DRIVERS = [
  'null',
  'loop',
  'ring',
  'pcap',
  'gen',
  'sink',
  'af_packet',
  'tap',
  'af_xdp',
  'dpdk',
] as const;
export type Driver = (typeof DRIVERS)[number];

/** Devices around devices. */
export const WRAPPERS = ['fault', 'trace', 'capture'] as const;

/** An option's value may be quoted, `filter='a, (b)'`: commas and parentheses in it are its own. */
const QUOTED = `'[^']*'|"[^"]*"`;
const VALUE = `=(?:${QUOTED})|=(?!${QUOTED})`;
/** A wrapper with its options and the colon before the device inside. */
const WRAPPER = new RegExp(`^(\\w+)(?:\\(((?:${VALUE}|[^)=])*)\\))?:`);
const OPTION = new RegExp(`(?:${VALUE}|[^,=])+`, 'g');

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
    const known = [...DRIVERS, ...WRAPPERS];
    const name = driver.replace(/\(.*/, '');
    throw new WireletError(
      'WIRELET_E_CONFIG_UNKNOWN_DEVICE',
      `${path}: unknown driver "${name}"${didYouMean(name, known)}`,
      { details: { path, driver: name, known } },
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
  const [wrapper, name, options] = WRAPPER.exec(text) ?? [];
  if (wrapper !== undefined && isWrapper(name)) {
    const inside = resolveDevice(text.slice(wrapper.length), directory, path);
    return `${name}${options === undefined ? '' : `(${withFile(options, directory)})`}:${inside}`;
  }
  // Without its parenthesis or its device: the wrapper itself says what is wrong, when it opens.
  if (isWrapper(/^\w+/.exec(text)?.[0])) return text;
  const { driver, target, query } = parseDevice(text, path);
  const suffix = query === '' ? '' : `?${query}`;
  if (driver === 'dpdk') return `dpdk:${withCaptures(target, directory)}${suffix}`;
  if (driver !== 'pcap') return `${driver}:${target}${suffix}`;
  const comma = target.indexOf(',');
  const files = comma < 0 ? [target] : [target.slice(0, comma), target.slice(comma + 1)];
  const absolute = files.map((file) => (file === '' ? '' : resolve(directory, file)));
  return `pcap:${absolute.join(',')}${suffix}`;
}

/** The device inside all wrappers. @throws WIRELET_E_CONFIG_UNKNOWN_DEVICE */
export function innermostDevice(text: string, path: string): DeviceSpec {
  const [wrapper, name] = WRAPPER.exec(text) ?? [];
  const isWrapped = wrapper !== undefined && isWrapper(name);
  return isWrapped ? innermostDevice(text.slice(wrapper.length), path) : parseDevice(text, path);
}

/** A wrapper's options, with the file that they name made absolute. */
function withFile(options: string, directory: string): string {
  const absolute = (option: string): string => {
    const [, quote = '', name] = /^file=(['"]?)(.*)\1$/s.exec(option) ?? [];
    return name === undefined ? option : `file=${quote}${resolve(directory, name)}${quote}`;
  };
  return (options.match(OPTION) ?? []).map(absolute).join(',');
}

/** DPDK's arguments of a device, `net_pcap0,rx_pcap=a.pcap`, with its files made absolute. */
function withCaptures(devargs: string, directory: string): string {
  const absolute = (argument: string): string => {
    const [, key = '', file = ''] = /^(rx_pcap=|tx_pcap=)(.+)$/.exec(argument) ?? [];
    return key === '' ? argument : key + resolve(directory, file);
  };
  return devargs.split(',').map(absolute).join(',');
}

function isWrapper(name: string | undefined): boolean {
  return (WRAPPERS as readonly (string | undefined)[]).includes(name);
}

function isDriver(name: string): name is Driver {
  return (DRIVERS as readonly string[]).includes(name);
}
