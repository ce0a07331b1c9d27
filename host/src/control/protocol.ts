/**
 * What is said over the control socket: a request is one line of JSON, and so is its reply. A
 * request may be answered by lines of progress or of entries before its reply.
 *
 * ```text
 * → {"version":1,"id":7,"method":"swap","params":{"program":"guard"}}
 * ← {"id":7,"progress":"compiling programs/guard"}
 * ← {"id":7,"result":{"change":{"from":1,"to":2}}}
 * ```
 */
import { z } from 'zod';
import { FRAME_BYTES_MAX, LCORES_MAX, NAME_BYTES_MAX } from '../abi.js';
import { isErrorCode, WireletError } from '../error.js';
import { jsonText } from '../json.js';

/** Goes up when a request or a reply means something else. */
export const PROTOCOL_VERSION = 1;
/** Of a request: a config, or a part of a table. */
export const REQUEST_BYTES_MAX = 4 << 20;
/** Of a reply: the examples of a shadow run are three packets each, in hexadecimal. */
export const REPLY_BYTES_MAX = 32 << 20;
/** Entries of a table in one line. */
export const ENTRIES_MAX = 1000;
/** Of a path. */
const TEXT_MAX = 4096;
/** Of a key or value: its bytes in hexadecimal, or the names of all its fields. */
const ITEM_MAX = 64 << 10;
const SHADOW_MS_MAX = 600_000;
const SAMPLE_MAX = 1 << 20;
/** 4,096 instructions of four numbers, as the engine takes them. */
const FILTER_NUMBERS_MAX = 4 * 4096;

const text = z.string().max(TEXT_MAX);
const table = z
  .string()
  .min(1)
  .max(4 * NAME_BYTES_MAX);
/** Which of the lcores; all when it is missing. */
const lcore = z
  .int()
  .min(0)
  .max(LCORES_MAX - 1)
  .optional();
/** A key or a value as JSON, or as plain text: digits of 64 bits stay as they are. */
const item = z.string().max(ITEM_MAX);
const entry = z.strictObject({ key: item, value: item });

const desired = z.strictObject({
  /** As `loadConfig` gave it; the appliance checks it. */
  config: z.unknown(),
  /** Absolute; what paths in it are relative to. */
  directory: text,
  /** Named in errors. */
  file: text.optional(),
  resetState: z.boolean().optional(),
});

const shadow = z.strictObject({
  durationMs: z.int().min(1).max(SHADOW_MS_MAX),
  sampleOneIn: z.int().min(1).max(SAMPLE_MAX).optional(),
  maxDifferences: z.int().min(0).optional(),
});

const swap = z.strictObject({
  program: table,
  /** Absolute. */
  source: text.optional(),
  settings: z.record(z.string(), z.unknown()).optional(),
  resetState: z.boolean().optional(),
  shadow: shadow.optional(),
});

const trace = z.strictObject({
  /** A port's or program's name, with `port:` or `program:` where both have it. */
  target: table,
  /** Instructions as libpcap makes them, four numbers each: it runs at the client's. */
  filter: z.array(z.int().min(0).max(0xffff_ffff)).max(FILTER_NUMBERS_MAX).optional(),
  count: z.int().min(1).optional(),
  every: z.int().min(1).optional(),
  snap: z.int().min(1).max(FRAME_BYTES_MAX).optional(),
});

const none = z.strictObject({});

/** Parameters of every method. */
export const METHODS = {
  status: none,
  plan: desired,
  apply: desired,
  swap,
  rollback: none,
  /** Its entries are packets; it goes on until the client ends its side. */
  trace,
  tableList: none,
  tableGet: z.strictObject({ table, key: item }),
  tableSet: z.strictObject({ table, key: item, value: item, lcore }),
  tableDelete: z.strictObject({ table, key: item, lcore }),
  tableExport: z.strictObject({ table, lcore }),
  /** Entries are kept until the line without `more`; then the table becomes what they are. */
  tableReplace: z.strictObject({
    table,
    lcore,
    entries: z.array(entry).max(ENTRIES_MAX),
    more: z.boolean(),
  }),
} as const;

export type Method = keyof typeof METHODS;
export type Params<M extends Method> = z.infer<(typeof METHODS)[M]>;

const envelope = z.strictObject({
  version: z.int(),
  id: z.int().min(0),
  method: z.string().max(64),
  params: z.unknown(),
});

export type Request = { [M in Method]: { id: number; method: M; params: Params<M> } }[Method];

/** A reply; the fields but `id` exclude each other. */
export const replySchema = z.looseObject({
  /** Null where the request's could not be read. */
  id: z.int().nullable(),
  result: z.unknown().optional(),
  error: z
    .object({ code: z.string(), message: z.string(), hint: z.string(), details: z.unknown() })
    .optional(),
  progress: z.string().optional(),
  entries: z.array(z.record(z.string(), z.unknown())).optional(),
});
export type Reply = z.infer<typeof replySchema>;

/**
 * Takes a line apart; `id` is the request's where that could be read.
 * @throws WIRELET_E_CONTROL
 */
export function parseRequest(line: string): Request {
  const { version, id, method, params } = checked(envelope, parseJson(line), 'the request');
  if (version !== PROTOCOL_VERSION) {
    const message = `version ${version} of the protocol is not spoken here, ${PROTOCOL_VERSION} is`;
    throw new WireletError('WIRELET_E_CONTROL', message, {
      hint: 'Use the `wirelet` of the same version as the appliance.',
      details: { id },
    });
  }
  if (!Object.hasOwn(METHODS, method)) {
    throw new WireletError('WIRELET_E_CONTROL', `there is no method "${method}"`, {
      hint: `Methods: ${Object.keys(METHODS).join(', ')}.`,
      details: { id },
    });
  }
  const schema: z.ZodType<unknown> = METHODS[method as Method];
  return { id, method, params: checked(schema, params ?? {}, method, id) } as Request;
}

/** The line of a request or a reply, with its end. */
export function lineOf(message: Record<string, unknown>): string {
  return `${jsonText(message)}\n`;
}

/** An error as it was sent. */
export function errorOf({ code, message, hint, details }: NonNullable<Reply['error']>) {
  const known = isErrorCode(code) ? code : 'WIRELET_E_INTERNAL';
  const isObject = typeof details === 'object' && details !== null;
  return new WireletError(known, message, {
    hint,
    details: isObject ? (details as Record<string, unknown>) : {},
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw malformed('the request is no JSON');
  }
}

function checked<T>(schema: z.ZodType<T>, value: unknown, what: string, id?: number): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const place = issue && issue.path.length > 0 ? ` at ${issue.path.map(String).join('.')}` : '';
  throw malformed(`${what} is wrong${place}: ${issue?.message ?? 'unknown'}`, id);
}

function malformed(message: string, id?: number): WireletError {
  return new WireletError('WIRELET_E_CONTROL', message, {
    hint: 'One JSON object a line: version, id, method, params.',
    details: id === undefined ? {} : { id },
  });
}
