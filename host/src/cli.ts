/** The `wirelet` command: takes the command line apart and imports the command that it names. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { type CommandSpec, Options } from './commands/command.js';
import {
  COMMANDS,
  COMMON_OPTIONS,
  COMMON_VERBS,
  EXIT_CODES,
  GROUPS,
  INTRODUCTION,
  PURPOSE,
} from './commands/table.js';
import { WireletError } from './error.js';
import { didYouMean } from './suggest.js';
import { Output } from './terminal/output.js';

/** Runs one command line (without node and script); the exit status. Never throws. */
export async function main(argv: readonly string[]): Promise<number> {
  const [first] = argv;
  if (first === undefined) return print(introduction());
  const output = new Output({
    json: argv.includes('--json'),
    quiet: argv.includes('--quiet') || argv.includes('-q'),
    verbose: argv.includes('--verbose') || argv.includes('-v'),
    noColor: argv.includes('--no-color'),
  });
  try {
    let status = 0;
    const program = createProgram(async (spec, positionals, options) => {
      const { run } = await spec.load();
      status = (await run({ arguments: positionals, options, output })) ?? 0;
    });
    await program.parseAsync(first === 'help' ? helpArguments(argv) : [...argv], { from: 'user' });
    return status;
  } catch (thrown) {
    if (isHelp(thrown)) return 0;
    return output.error(thrown instanceof CommanderError ? usageError(thrown) : thrown).exitStatus;
  }
}

type Run = (spec: CommandSpec, positionals: string[], options: Options) => Promise<void>;

function createProgram(run: Run): Command {
  const program = new Command('wirelet');
  program
    .description(PURPOSE)
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand('help [command]', 'show help of a command')
    .exitOverride()
    // What commander would print about errors, `main` prints with a code and a hint.
    .configureOutput({ outputError: () => {}, writeErr: () => {} })
    .addHelpText('after', `\nExit status:\n${exitCodesText()}`);
  for (const spec of COMMANDS) addCommand(program, spec, run);
  return program;
}

function addCommand(program: Command, spec: CommandSpec, run: Run): void {
  const [group = '', verb] = spec.name.split(' ');
  const command = (verb === undefined ? program : groupOf(program, group))
    .command(verb ?? group)
    .summary(spec.summary)
    .description(spec.description.join('\n\n'))
    .allowExcessArguments(false);
  for (const argument of spec.arguments) command.argument(argument.name, argument.description);
  for (const option of [...spec.options, ...COMMON_OPTIONS]) {
    if (option.repeats) command.option(option.flags, option.description, collect, []);
    else command.option(option.flags, option.description);
  }
  command.addHelpText('after', afterHelp(spec));
  command.action(async (...values: unknown[]) => {
    const positionals = values.slice(0, spec.arguments.length).flat();
    const given = positionals.filter((value) => typeof value === 'string');
    await run(spec, given, new Options(command.opts()));
  });
}

/** The command `table` of `table list`: it only leads to its own commands. */
function groupOf(program: Command, name: string): Command {
  const known = program.commands.find((command) => command.name() === name);
  if (known) return known;
  const verbs = COMMANDS.filter((spec) => spec.name.startsWith(`${name} `));
  const list = verbs.map((spec) => spec.name.slice(name.length + 1)).join(', ');
  return program
    .command(name)
    .summary(GROUPS[name] ?? '')
    .description(`${GROUPS[name] ?? ''}: ${list}`)
    .helpCommand(false)
    .action((_options: unknown, command: Command) => {
      const [verb] = command.args;
      const what = verb === undefined ? `${name} what?` : `unknown command "${name} ${verb}"`;
      const near = verb === undefined ? '' : didYouMean(verb, list.split(', '));
      const hint = `Commands: ${list}.`;
      throw new WireletError('WIRELET_E_USAGE', `${what}${near}`, { hint });
    })
    .allowExcessArguments(true);
}

function collect(value: string, before: string[]): string[] {
  return [...before, value];
}

function afterHelp(spec: CommandSpec): string {
  const examples = spec.examples.map(({ command, comment }) =>
    comment === '' ? `  ${command}` : `  ${command}\n      ${comment}`,
  );
  const json = spec.json ? `\n\nWith --json: ${spec.json.schema}: ${spec.json.fields}` : '';
  return `\nExamples:\n${examples.join('\n')}${json}`;
}

function exitCodesText(): string {
  return EXIT_CODES.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`).join(
    '\n',
  );
}

/** What the bare command says. */
function introduction(): string {
  const width = Math.max(...INTRODUCTION.map(({ command }) => command.length));
  const examples = INTRODUCTION.map(
    ({ command, comment }) => `  ${command.padEnd(width)}  # ${comment}`,
  );
  const verbs = COMMON_VERBS.map((name) => {
    const summary = COMMANDS.find((spec) => spec.name === name)?.summary ?? '';
    return `  ${name.padEnd(8)}${summary}`;
  });
  return [
    `wirelet ${version()} — ${PURPOSE}`,
    '',
    ...examples,
    '',
    ...verbs,
    '',
    'All commands: wirelet --help   One of them: wirelet help <command>',
  ].join('\n');
}

/** `help replay` to `replay --help`. @throws WIRELET_E_USAGE for a verb that does not exist */
function helpArguments([, verb, action]: readonly string[]): string[] {
  const names = [...COMMANDS.map((spec) => spec.name), ...Object.keys(GROUPS)];
  if (verb === undefined || verb.startsWith('-')) return ['--help'];
  if (names.includes(`${verb} ${action}`)) return [verb, `${action}`, '--help'];
  if (names.includes(verb)) return [verb, '--help'];
  throw new WireletError('WIRELET_E_USAGE', `unknown command "${verb}"${didYouMean(verb, names)}`);
}

function isHelp(thrown: unknown): boolean {
  return thrown instanceof CommanderError && thrown.exitCode === 0;
}

/** Commander's `error: unknown option '--jsn'\n(Did you mean --json?)` in our words. */
function usageError(error: CommanderError): WireletError {
  const [, text = error.message, near] =
    /^(?:error: )?([\s\S]*?)(?:\n\(Did you mean (?:one of )?(.*)\?\))?$/.exec(error.message) ?? [];
  const quoted = text.replaceAll("'", '"');
  const suggestion = near === undefined ? '' : ` — did you mean "${near}"?`;
  return new WireletError('WIRELET_E_USAGE', `${quoted}${suggestion}`);
}

function version(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}
