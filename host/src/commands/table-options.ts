/** Flags that several commands have. */
import type { OptionSpec } from './command.js';

export const JSON_OPTION: OptionSpec = { flags: '--json', description: 'print one JSON object' };

export const SOCKET_OPTION: OptionSpec = {
  flags: '--socket <path>',
  description: 'control socket; default that of the config of this folder',
};
export const CONFIG_OPTION: OptionSpec = {
  flags: '-c, --config <file>',
  description: 'the same as [config]',
};
export const MODE_OPTION: OptionSpec = {
  flags: '--mode <name>',
  description: 'what a config that is a function gets as mode',
};
