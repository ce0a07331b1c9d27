/** A coded error as people read it. */
import type { WireletError } from '../error.js';
import type { Colors } from './color.js';

/**
 * `error[CODE]: message`, the code frame if there is one, `hint: ...`; for bugs, and with
 * `verbose`, the stack too.
 */
export function errorText(error: WireletError, colors: Colors, verbose: boolean): string {
  const lines = [`${colors.red(colors.bold(`error[${error.code}]`))}: ${error.message}`];
  const text = error.details.text;
  if (typeof text === 'string' && text !== '') lines.push(text);
  lines.push(`${colors.cyan('hint')}: ${error.hint}`);
  const showStack = verbose || error.code === 'WIRELET_E_INTERNAL';
  const stack = error.cause instanceof Error ? error.cause.stack : error.stack;
  if (showStack && stack !== undefined) lines.push(colors.dim(stack));
  return lines.join('\n');
}
