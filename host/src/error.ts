/**
 * The one error class of Wirelet: a code out of the table that native code and the docs share.
 *
 * ```ts
 * throw new WireletError('WIRELET_E_SETTINGS', '`names`: a list may not mix types');
 * ```
 */
import { ERRORS, type ErrorCode } from './abi.js';

export type { ErrorCode } from './abi.js';

export interface WireletErrorOptions {
  /** What to do; without it the table's own hint. */
  hint?: string;
  /** What a program reading the error may want: diagnostics, a path, a key. */
  details?: Readonly<Record<string, unknown>>;
  cause?: unknown;
}

export class WireletError extends Error {
  override readonly name = 'WireletError';
  readonly code: ErrorCode;
  /** One sentence: what to do. */
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message?: string, options: WireletErrorOptions = {}) {
    const cause = options.cause === undefined ? {} : { cause: options.cause };
    super(message ?? ERRORS[code].meaning, cause);
    this.code = code;
    this.hint = options.hint ?? ERRORS[code].hint;
    this.details = options.details ?? {};
  }

  /** The CLI's exit status for this error. */
  get exitStatus(): number {
    return ERRORS[this.code].exit;
  }

  /** What `--json` prints. */
  toJSON(): Record<string, unknown> {
    return { code: this.code, message: this.message, hint: this.hint, details: this.details };
  }
}

/** True for the codes of the table: native errors begin with one. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** Makes any thrown value a coded error; what has no code is a bug and says so. */
export function asWireletError(thrown: unknown): WireletError {
  if (thrown instanceof WireletError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new WireletError('WIRELET_E_INTERNAL', message, { cause: thrown });
}
