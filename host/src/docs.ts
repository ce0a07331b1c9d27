/** Documents that are written from the code: a test compares them with the files. */
import { ERRORS } from './abi.js';
import type { CommandSpec, OptionSpec } from './commands/command.js';
import { COMMANDS, COMMON_OPTIONS, EXIT_CODES, PURPOSE } from './commands/table.js';
import { configJsonSchema } from './config/schema.js';

/** Every document, by its path in the checkout. `npm run docs` writes them. */
export function documents(): Record<string, string> {
  return {
    'docs/cli.md': cliText(),
    'docs/errors.md': errorsText(),
    'host/wirelet.schema.json': `${JSON.stringify(configJsonSchema(), null, 2)}\n`,
  };
}

const NOTICE = '<!-- DO NOT EDIT: written by `npm run docs`. -->';

function cliText(): string {
  const codes = EXIT_CODES.map(([code, meaning]) => `| ${code} | ${meaning} |`);
  const rows = COMMANDS.map(
    ({ name, summary }) => `| [\`${name}\`](#${name.replaceAll(' ', '-')}) | ${summary} |`,
  );
  const parts = [
    '# The command line',
    NOTICE,
    `\`wirelet\`: ${PURPOSE} \`wirelet help <command>\` prints what is here.`,
    table(['command', 'what it does'], rows),
    'Results go to stdout, messages to stderr. With `--json` stdout holds exactly one object, ' +
      '`{ "schema": "wirelet.<command>/1", "data": ... }`; an error is `wirelet.error/1` with ' +
      '`code`, `message`, `hint` and `details`. The codes are in [errors.md](errors.md).',
    '## Exit status',
    table(['status', 'meaning'], codes),
    ...COMMANDS.flatMap(commandParts),
    '## Flags of every command',
    optionTable(COMMON_OPTIONS),
  ];
  return `${parts.join('\n\n')}\n`;
}

function commandParts(spec: CommandSpec): string[] {
  const names = spec.arguments.map((argument) => ` ${argument.name}`).join('');
  const examples = spec.examples.flatMap(({ command, comment }) =>
    comment === '' ? [command] : [`# ${comment}`, command],
  );
  const usage = `wirelet ${spec.name}${names} [flags]`;
  const given = spec.arguments.map(({ name, description }) => `| \`${name}\` | ${description} |`);
  return [
    `## ${spec.name}`,
    `\`${usage}\` — ${spec.summary}.`,
    ...spec.description,
    ...(given.length > 0 ? [table(['argument', 'meaning'], given)] : []),
    ...(spec.options.length > 0 ? [optionTable(spec.options)] : []),
    ['```sh', ...examples, '```'].join('\n'),
    ...(spec.json ? [`With \`--json\`: \`${spec.json.schema}\`: ${spec.json.fields}.`] : []),
  ];
}

function optionTable(options: readonly OptionSpec[]): string {
  const rows = options.map(({ flags, description }) => `| \`${flags}\` | ${description} |`);
  return table(['flag', 'meaning'], rows);
}

function errorsText(): string {
  const sections = Object.entries(ERRORS).map(
    ([code, { exit, meaning, hint }]) => `## ${code}\n\n${meaning} Exit status ${exit}.\n\n${hint}`,
  );
  const head =
    'Every error has a code, a message that names file, port, program or number, and a hint. ' +
    'Native code and the host share this list; `wirelet` exits with the status that stands here.';
  return `${['# Errors', NOTICE, head, ...sections].join('\n\n')}\n`;
}

function table(titles: readonly string[], rows: readonly string[]): string {
  return [`| ${titles.join(' | ')} |`, `|${titles.map(() => ' --- |').join('')}`, ...rows].join(
    '\n',
  );
}
