/** Where a command writes: results to stdout, messages to stderr. */
import { asWireletError, type WireletError } from '../error.js';
import { jsonText } from '../json.js';
import { type Colors, colorsFor } from './color.js';
import { errorText } from './error-text.js';

export interface OutputOptions {
  json: boolean;
  quiet: boolean;
  verbose: boolean;
  noColor: boolean;
}

/** The part of a stream that is used; tests give their own. */
export interface Stream {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
}

export class Output {
  readonly options: OutputOptions;
  readonly stdout: Stream;
  readonly stderr: Stream;
  /** Colours of stdout. */
  readonly colors: Colors;
  /** Colours of stderr. */
  readonly errorColors: Colors;

  constructor(
    options: OutputOptions,
    stdout: Stream = process.stdout,
    stderr: Stream = process.stderr,
  ) {
    this.options = options;
    this.stdout = stdout;
    this.stderr = stderr;
    const color = (stream: Stream): Colors =>
      colorsFor({ isTTY: stream.isTTY, env: process.env, off: options.noColor });
    this.colors = color(stdout);
    this.errorColors = color(stderr);
  }

  /** A result for people; nothing with `--json`. */
  result(text: string): void {
    if (!this.options.json) this.stdout.write(`${text}\n`);
  }

  /** The result for programs: the one object of `--json`. */
  json(schema: string, data: unknown): void {
    if (this.options.json) this.stdout.write(`${jsonText({ schema, data })}\n`);
  }

  /** What is going on; not with `--quiet`. */
  message(text: string): void {
    if (!this.options.quiet) this.stderr.write(`${text}\n`);
  }

  /** More of what is going on; with `--verbose` only. */
  detail(text: string): void {
    if (this.options.verbose) this.stderr.write(`${text}\n`);
  }

  /** A text that is complete as it is, such as a fault report. */
  report(format: (colors: Colors) => string): void {
    this.stderr.write(`${format(this.errorColors)}\n`);
  }

  /** An error that does not end the command. */
  problem(error: WireletError): void {
    this.stderr.write(`${errorText(error, this.errorColors, this.options.verbose)}\n`);
  }

  /** An error of the command: to stderr, and to stdout as an object with `--json`. */
  error(thrown: unknown): WireletError {
    const error = asWireletError(thrown);
    this.problem(error);
    this.json('wirelet.error/1', error.toJSON());
    return error;
  }
}
