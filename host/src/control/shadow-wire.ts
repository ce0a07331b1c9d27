/** A shadow report that came over the socket: its packets were hexadecimal on the way. */
import { z } from 'zod';
import { WireletError } from '../error.js';
import type { ShadowReport } from '../shadow.js';

const bytes = z
  .string()
  .regex(/^([0-9a-f]{2})*$/)
  .transform((hex) => new Uint8Array(Buffer.from(hex, 'hex')));

const answer = z.object({
  verdict: z.string(),
  egress: z.string().nullable(),
  mark: z.number(),
  packet: bytes,
});

const report = z.object({
  program: z.string(),
  durationMs: z.number(),
  sampleOneIn: z.number(),
  sampled: z.number(),
  lost: z.number(),
  differences: z.number(),
  examples: z.array(
    z.object({
      lcore: z.number(),
      port: z.string(),
      packet: bytes,
      current: answer,
      candidate: answer,
    }),
  ),
  faults: z.object({ current: z.number(), candidate: z.number() }),
  fault: z.object({ code: z.string(), message: z.string() }).exactOptional(),
}) satisfies z.ZodType<ShadowReport>;

/** @throws WIRELET_E_CONTROL for anything else */
export function shadowOf(value: unknown): ShadowReport {
  const parsed = report.safeParse(value);
  if (parsed.success) return parsed.data;
  const message = `the shadow report can't be read: ${z.prettifyError(parsed.error)}`;
  throw new WireletError('WIRELET_E_CONTROL', message);
}
