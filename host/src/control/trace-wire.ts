/** Packets of a trace that came over the socket. */
import { z } from 'zod';
import { WireletError } from '../error.js';
import type { TracedPacket } from '../trace.js';

const packet = z.object({
  lcore: z.number(),
  moment: z.enum(['rx', 'tx', 'before', 'after']),
  port: z.string(),
  program: z.string(),
  verdict: z.string(),
  note: z.string(),
  timeNs: z
    .string()
    .regex(/^\d{1,20}$/)
    .transform(BigInt),
  length: z.number(),
  packet: z
    .string()
    .regex(/^([0-9a-f]{2})*$/)
    .transform((hex) => new Uint8Array(Buffer.from(hex, 'hex'))),
}) satisfies z.ZodType<TracedPacket>;

const summary = z.object({ shown: z.number(), lost: z.number() });

/** @throws WIRELET_E_CONTROL for anything else */
export function tracedOf(entries: readonly Record<string, unknown>[]): TracedPacket[] {
  return checked(z.array(packet), entries);
}

/** How many packets were sent, and how many found no room. @throws WIRELET_E_CONTROL */
export function traceSummaryOf(result: unknown): { shown: number; lost: number } {
  return checked(summary, result);
}

function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const message = `the trace can't be read: ${z.prettifyError(parsed.error)}`;
  throw new WireletError('WIRELET_E_CONTROL', message);
}
