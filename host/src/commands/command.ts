/** What a command is: a row of the table, and a module that is imported when it is run. */
import { WireletError } from '../error.js';
import type { Output } from '../terminal/output.js';

export interface ArgumentSpec {
  /** As commander writes it: `<program>`, `[config]`, `<programs...>`. */
  name: string;
  description: string;
}

export interface OptionSpec {
  /** As commander writes it: `-o, --out <file>`. */
  flags: string;
  description: string;
  /** May stand several times. */
  repeats?: true;
}

export interface Example {
  command: string;
  comment: string;
}

export interface CommandSpec {
  name: string;
  /** One line, for the list of commands. */
  summary: string;
  /** Paragraphs. */
  description: readonly string[];
  arguments: readonly ArgumentSpec[];
  options: readonly OptionSpec[];
  examples: readonly Example[];
  /** Schema of the `--json` object and its fields; undefined for commands without one. */
  json?: { schema: string; fields: string };
  load(): Promise<CommandModule>;
}

export interface CommandModule {
  /** The exit status; 0 when it is not said. @throws WireletError */
  run(call: Call): Promise<number | undefined>;
}

/** A command line, taken apart. */
export interface Call {
  /** Positional arguments, in order; lists are flat. */
  arguments: string[];
  options: Options;
  output: Output;
}

/** The flags of a command line, by their long names in camel case. */
export class Options {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** Of a flag that may stand several times. */
  texts(name: string): string[] {
    const value = this.#values[name];
    if (Array.isArray(value)) return value.map(String);
    return typeof value === 'string' ? [value] : [];
  }

  /** @throws WIRELET_E_USAGE */
  required(name: string): string {
    const value = this.text(name);
    if (value !== undefined) return value;
    throw new WireletError('WIRELET_E_USAGE', `--${name} is missing`);
  }

  /** A whole number within `range`. @throws WIRELET_E_USAGE */
  whole(name: string, range: readonly [number, number]): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const number = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    const [low, high] = range;
    if (number >= low && number <= high) return number;
    throw new WireletError(
      'WIRELET_E_USAGE',
      `--${name}: "${value}" is not a whole number from ${low} to ${high}`,
    );
  }
}
