/** Flags that several commands have. */
import type { OptionSpec } from './command.js';

export const JSON_OPTION: OptionSpec = { flags: '--json', description: 'print one JSON object' };

export const SOCKET_OPTION: OptionSpec = {
  flags: '--socket <path>',
  description: 'control socket; default that of the config of this folder',
};
