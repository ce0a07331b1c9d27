/** Would the engine take this program? Every check at its door, then the program's own onLoad. */
import { DEADLINE_DEFAULT_NS } from './abi.js';
import type { Setting } from './config/schema.js';
import { coded, type NativeModuleInfo, type NativeProgram, native } from './native.js';
import type { LoadedProgram } from './program.js';
import { encodeSettings } from './settings.js';

export interface CheckResult extends NativeModuleInfo {
  /** Bytes of the module. */
  bytes: number;
  /** Names of the counters that it made while loading. */
  counters: string[];
  /** What it logged while loading. */
  logs: string[];
}

/**
 * Takes a program through the engine's door and loads it on the calling thread.
 *
 * ```ts
 * checkProgram(await loadProgram('programs/dnsguard')).counters; // ['queries', ...]
 * ```
 * @throws WIRELET_E_MODULE_..., WIRELET_E_LOAD_TRAP, WIRELET_E_LOAD_DEADLINE, WIRELET_E_SETTINGS
 */
export function checkProgram(
  program: LoadedProgram,
  settings: Record<string, Setting> = {},
): CheckResult {
  const info = coded(() => native().checkModule(program.wasm));
  const { Runner } = native();
  const runner = coded(() => new Runner(standalone(program, settings)));
  try {
    const counters = coded(() => runner.counters()).map(({ name }) => name);
    return { ...info, bytes: program.wasm.length, counters, logs: coded(() => runner.logs()) };
  } finally {
    runner.close();
  }
}

/** A program outside of an appliance. */
export function standalone(
  program: LoadedProgram,
  settings: Record<string, Setting>,
): NativeProgram {
  return {
    name: program.name,
    wasm: program.wasm,
    settings: encodeSettings(settings),
    deadlineNs: DEADLINE_DEFAULT_NS,
    onFault: 'drop',
    tableTypes: program.manifest?.tableTypes ?? [],
  };
}
