/** What is deployed, a config and the modules of its programs: how it is made and compared. */
import {
  type ResolvedConfig,
  type ResolvedProgram,
  type ResolveOptions,
  resolveConfig,
} from './config/resolve.js';
import type { Setting, WireletConfig } from './config/schema.js';
import type { Deployment } from './plan.js';
import { type LoadedProgram, loadProgram } from './program.js';
import { programName } from './tenant.js';

/** `config` with its programs compiled; those that `known` has are taken from there. */
export async function deploymentOf(
  config: WireletConfig,
  options: ResolveOptions,
  known: (program: ResolvedProgram) => LoadedProgram | undefined = () => undefined,
): Promise<Deployment> {
  const resolved = resolveConfig(config, options);
  const programs = await Promise.all(
    resolved.programs.map(async (program) => {
      return [program.name, known(program) ?? (await loadProgram(program.source))] as const;
    }),
  );
  return { config: resolved, programs: new Map(programs) };
}

/** Names of its programs, in its order. */
export function programNames({ programs }: ResolvedConfig): string[] {
  return programs.map(({ name }) => name);
}

/** Modules by the names that `config` gives them, in its order. */
export function named(config: ResolvedConfig, programs: readonly LoadedProgram[]): Deployment {
  const pairs = config.programs.flatMap(({ name }, index) => {
    const program = programs[index];
    return program ? [[name, program] as const] : [];
  });
  return { config, programs: new Map(pairs) };
}

/** Whether `name` is the very module with the very settings in both. */
export function sameProgram(name: string, one: Deployment, other: Deployment): boolean {
  const settings = ({ config }: Deployment) =>
    config.programs.find((program) => program.name === name)?.settings;
  const same = JSON.stringify(settings(one)) === JSON.stringify(settings(other));
  return same && one.programs.get(name) === other.programs.get(name);
}

/** `running` with another module, and settings where there are new ones, for `name`. */
export function withProgram(
  running: Deployment,
  name: string,
  loaded: LoadedProgram,
  settings: Record<string, Setting> | undefined,
): Deployment {
  // It may have gone while the new one was compiled.
  programName(name, programNames(running.config));
  const programs = running.config.programs.map((program) =>
    program.name === name
      ? { ...program, source: loaded.source, settings: settings ?? program.settings }
      : program,
  );
  return {
    config: { ...running.config, programs },
    programs: new Map(running.programs).set(name, loaded),
  };
}
