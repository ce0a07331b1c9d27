/**
 * Whether this machine gives an appliance what it needs, and what mends it where not. Nothing is
 * changed.
 *
 * ```ts
 * const { checks, ok } = diagnose(resolveConfig(config, { directory }));
 * for (const { name, state, found, fix } of checks) console.log(state, name, found, fix ?? '');
 * ```
 */
import { dirname } from 'node:path';
import type { ResolvedConfig } from '../config/resolve.js';
import type { Check } from './check.js';
import { checkCpus } from './checks/cpus.js';
import { checkDpdk } from './checks/dpdk.js';
import { checkInterfaces } from './checks/interfaces.js';
import { checkKernel } from './checks/kernel.js';
import { checkMemory } from './checks/memory.js';
import { checkOutside } from './checks/outside.js';
import { checkPrivileges } from './checks/privileges.js';
import { type Facts, gatherFacts } from './facts.js';
import { type Needs, needsOf } from './needs.js';

export interface Diagnosis {
  checks: Check[];
  /** Nothing that the config needs is missing. */
  ok: boolean;
}

/**
 * Looks at this machine, as this process sees it. `socket` is where the appliance would be driven
 * from; without a config every device is taken into account and nothing is missing.
 */
export function diagnose(config?: ResolvedConfig, socket?: string | false): Diagnosis {
  const needs = config && needsOf(config);
  const folder = socket ? dirname(socket) : undefined;
  return diagnosisOf(gatherFacts(needs, folder), needs);
}

/** Without a config nothing is needed, so nothing is missing. */
function asAdvice(check: Check): Check {
  return check.state === 'missing' ? { ...check, state: 'warning' } : check;
}

/** The same of facts that are known. */
export function diagnosisOf(facts: Facts, needs: Needs | undefined): Diagnosis {
  const checks = [
    checkKernel,
    checkPrivileges,
    checkMemory,
    checkCpus,
    checkInterfaces,
    checkDpdk,
    checkOutside,
  ]
    .flatMap((check) => check(facts, needs))
    .map((check) => (needs === undefined ? asAdvice(check) : check));
  return { checks, ok: checks.every(({ state }) => state !== 'missing') };
}
