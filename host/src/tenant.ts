/** `tenant/program` as it stands on command lines. There is one tenant in this version. */
import { WireletError } from './error.js';
import { didYouMean } from './suggest.js';

export const TENANT_DEFAULT = 'default';

/**
 * The program's name in `text`, which may have the tenant in front.
 *
 * ```ts
 * programName('default/guard', ['guard', 'count']); // 'guard'
 * ```
 * @throws WIRELET_E_USAGE for another tenant or a program that is not in `known`
 */
export function programName(text: string, known: readonly string[]): string {
  const slash = text.indexOf('/');
  const tenant = slash < 0 ? TENANT_DEFAULT : text.slice(0, slash);
  const name = text.slice(slash + 1);
  if (tenant !== TENANT_DEFAULT) {
    const message = `${text}: there is no tenant "${tenant}"`;
    const hint = `The only tenant is "${TENANT_DEFAULT}": write ${TENANT_DEFAULT}/${name}.`;
    throw new WireletError('WIRELET_E_USAGE', message, { hint });
  }
  if (known.includes(name)) return name;
  const message = `no program "${name}" runs here${didYouMean(name, known)}`;
  const hint = known.length === 0 ? 'No programs run here.' : `Programs: ${known.join(', ')}.`;
  throw new WireletError('WIRELET_E_USAGE', message, { hint });
}
