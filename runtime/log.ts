import { LOG_LINE_BYTES_MAX } from './abi';
import { Utf8 } from './utf8';
import { log as write } from './wirelet';

/**
 * Writes a line to the appliance's log: at most 256 bytes of UTF-8, the rest is cut, and at most
 * 100 lines a second, the rest is counted. Nothing is allocated, but a template literal or `+` in
 * its argument would be: per packet, build the line with `Line`.
 *
 * ```ts
 * log('no names are blocked');
 * ```
 */
export function log(text: string): void {
  const bytes = Utf8.encode(text, Utf8.address, LOG_LINE_BYTES_MAX);
  write(<u32>Utf8.address, bytes);
}
