/** Does a value have the shape of a config? */
import { configError } from './issues.js';
import { configSchema, type WireletConfig } from './schema.js';

/**
 * Checks the shape of `value`; `file` is named in errors.
 * @throws WIRELET_E_CONFIG_INVALID, _UNKNOWN_KEY or _LIMIT
 */
export function checkConfig(value: unknown, file?: string): WireletConfig {
  const result = configSchema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  throw configError(result.error.issues, file);
}
