/** Puts an appliance on its control socket. */
import type { Appliance } from '../appliance.js';
import { ControlServer } from './server.js';
import { ApplianceSession } from './session.js';
import { StatusBook } from './status.js';
import { Uploads } from './table-session.js';

export interface ServeOptions {
  /** The socket. */
  path: string;
  /** The config's file, for `wirelet status`. */
  config?: string;
}

/**
 * Serves `appliance` until the server is closed, which is before the appliance is stopped.
 *
 * ```ts
 * const server = await serveAppliance(appliance, { path: '/run/wirelet/dns.sock' });
 * await server.close();
 * ```
 * @throws WIRELET_E_CONTROL
 */
export function serveAppliance(
  appliance: Appliance,
  { path, config = '' }: ServeOptions,
): Promise<ControlServer> {
  const book = new StatusBook(appliance, { config, socket: path });
  const uploads = new Uploads();
  return ControlServer.listen(path, () => new ApplianceSession(appliance, book, uploads));
}
