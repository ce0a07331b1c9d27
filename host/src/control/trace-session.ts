/** What the appliance does about a request for a trace. */
import type { Appliance } from '../appliance.js';
import { withoutUndefined } from '../config/overrides.js';
import { asWireletError } from '../error.js';
import type { Trace, TracedPacket } from '../trace.js';
import type { Params } from './protocol.js';
import type { Sink } from './server.js';

/** One client's, which traces one thing at a time. */
export class TraceSession {
  readonly #appliance: Appliance;
  #trace: Trace | undefined;

  constructor(appliance: Appliance) {
    this.#appliance = appliance;
  }

  /** Sends packets until there are as many as were asked for, or the client ends its side. */
  async handle(
    { target, ...options }: Params<'trace'>,
    sink: Sink,
  ): Promise<{ shown: number; lost: number }> {
    const trace = await this.#appliance.traceCompiled(target, withoutUndefined(options));
    this.#trace = trace;
    try {
      sink.progress(`tracing ${trace.target.kind} ${trace.target.name}`);
      for await (const packets of trace.batches()) {
        if (packets.length > 0) await sink.entries(packets.map(wirePacket));
        if (sink.gone) break;
        if (sink.ended) await trace.stop();
      }
    } finally {
      this.#trace = undefined;
    }
    return { shown: trace.shown, lost: trace.lost };
  }

  /** The trace under way, if there is one, comes to its end; what was copied is still sent. */
  end(): boolean {
    const trace = this.#trace;
    trace?.stop().catch((thrown: unknown) => {
      this.#appliance.report(asWireletError(thrown));
    });
    return trace !== undefined;
  }
}

/** `timeNs` as digits, and bytes as hexadecimal. */
function wirePacket({ timeNs, packet, ...rest }: TracedPacket): Record<string, unknown> {
  return { ...rest, timeNs: timeNs.toString(), packet: Buffer.from(packet).toString('hex') };
}
