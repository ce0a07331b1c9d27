/** What the appliance does about each request of the control socket. */
import type { Appliance, SwapOptions } from '../appliance.js';
import { withoutUndefined } from '../config/overrides.js';
import type { ResolveOptions } from '../config/resolve.js';
import type { Setting, WireletConfig } from '../config/schema.js';
import type { PublishOptions } from '../generations.js';
import type { ShadowOptions } from '../shadow.js';
import type { Params, Request } from './protocol.js';
import type { Session, Sink } from './server.js';
import type { StatusBook } from './status.js';
import { TableSession, type Uploads } from './table-session.js';
import { TraceSession } from './trace-session.js';

/** One client of `appliance`. */
export class ApplianceSession implements Session {
  readonly #appliance: Appliance;
  readonly #book: StatusBook;
  readonly #tables: TableSession;
  readonly #traces: TraceSession;

  constructor(appliance: Appliance, book: StatusBook, uploads: Uploads) {
    this.#appliance = appliance;
    this.#book = book;
    this.#tables = new TableSession(appliance, uploads);
    this.#traces = new TraceSession(appliance);
  }

  async handle(request: Request, sink: Sink): Promise<unknown> {
    switch (request.method) {
      case 'status':
        return this.#book.status();
      case 'plan':
        return this.#appliance.plan(...desiredOf(request.params));
      case 'apply':
        return this.#appliance.apply(...desiredOf(request.params));
      case 'swap':
        return this.#swap(request.params, sink);
      case 'rollback':
        return this.#appliance.rollback();
      case 'trace':
        return this.#traces.handle(request.params, sink);
      default:
        return this.#tables.handle(request, sink);
    }
  }

  end(): boolean {
    return this.#traces.end();
  }

  close(): void {
    this.#tables.close();
    this.#traces.end();
  }

  #swap({ program, shadow, ...given }: Params<'swap'>, sink: Sink): Promise<unknown> {
    // The appliance checks what settings are made of.
    const settings = given.settings as Record<string, Setting> | undefined;
    const options: SwapOptions = withoutUndefined({
      source: given.source,
      settings,
      resetState: given.resetState,
      shadow: shadow && (withoutUndefined(shadow) as ShadowOptions),
    });
    if (shadow) sink.progress(`shadow: packets of ${shadow.durationMs / 1000} s`);
    return this.#appliance.swap(program, options);
  }
}

/** The config is checked where it is resolved. */
function desiredOf({
  config,
  directory,
  file,
  resetState,
}: Params<'plan'>): [WireletConfig, ResolveOptions & PublishOptions] {
  return [config as WireletConfig, withoutUndefined({ directory, file, resetState })];
}
