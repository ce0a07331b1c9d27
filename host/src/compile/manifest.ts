/**
 * What a module says about itself, as JSON in its custom section `wirelet.manifest`. The record is
 * described in host/wit/wirelet.wit; this is its check, for modules from anywhere.
 */
import { z } from 'zod';
import {
  MANIFEST_SECTION,
  NAME_BYTES_MAX,
  PROGRAM_COUNTERS_MAX,
  PROGRAM_TABLES_MAX,
  TABLE_CAPACITY_MAX,
  TABLE_KINDS,
} from '../abi.js';
import { WireletError } from '../error.js';
import type {
  TableType,
  Manifest as WitManifest,
  Table as WitTable,
} from './generated/interfaces/wirelet-control-types.js';
import { appendCustomSection, customSection, type WasmModule } from './wasm-module.js';

/** A manifest has names and digests; what is larger was not written by us. */
const MANIFEST_BYTES_MAX = 256 << 10;

const digest = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in hexadecimal');
const name = z.string().min(1).refine(fitsName, `at most ${NAME_BYTES_MAX} bytes`);

/** The WIT record; what may be missing in JSON is an empty list or none there. */
type Described = Omit<WitManifest, 'counters' | 'tables' | 'tableTypes' | 'sourceMap'> & {
  counters?: string[] | undefined;
  tables?: DescribedTable[] | undefined;
  tableTypes?: TableType[] | undefined;
  sourceMap?: string | undefined;
};

type DescribedTable = Omit<WitTable, 'kind' | 'capacity' | 'keyType' | 'valueType'> & {
  kind: string;
  capacity?: number | undefined;
  keyType?: string | undefined;
  valueType?: string | undefined;
};

/** A class has as many fields as its bytes hold. */
const LAYOUT_CHARACTERS_MAX = 64 << 10;

const tableSchema = z.strictObject({
  name,
  kind: z.enum(TABLE_KINDS).exclude(['']),
  shared: z.boolean(),
  capacity: z.number().int().min(1).max(TABLE_CAPACITY_MAX).optional(),
  keyType: name.optional(),
  valueType: name.optional(),
});

const tableTypeSchema = z.strictObject({ name, layout: z.string().max(LAYOUT_CHARACTERS_MAX) });

const manifestSchema = z.strictObject({
  /** The program's. */
  name,
  version: z.string().min(1).max(64),
  /** Version of the guest ABI. */
  abi: z.number().int().min(1).max(0xffff_ffff),
  /** What the author exports. */
  entry: z.enum(['onPacket', 'onBurst']),
  /** Packets that must meet on one lcore. */
  affinity: z.enum(['none', 'flow', 'symmetric']),
  /** Names of the counters, where the build knows them. */
  counters: z.array(name).max(PROGRAM_COUNTERS_MAX).optional(),
  /** Its tables, where the build knows them. */
  tables: z.array(tableSchema).max(PROGRAM_TABLES_MAX).optional(),
  /** Fields of the types of keys and values: host/src/tables/layout.ts. */
  tableTypes: z
    .array(tableTypeSchema)
    .max(2 * PROGRAM_TABLES_MAX)
    .optional(),
  /** Of the source map's sources and mappings. */
  sourceMap: digest.optional(),
  /** Such as `assemblyscript 0.28.20`. */
  compiler: z.string().max(128),
  /** Of everything that the build read. */
  inputs: digest,
}) satisfies z.ZodType<Described>;

export type Manifest = z.infer<typeof manifestSchema>;

/** What an author may say in `wirelet.json` beside index.ts. */
const authorSchema = manifestSchema.pick({ name: true, version: true, affinity: true }).partial();
export type AuthorManifest = z.infer<typeof authorSchema>;

/** The manifest in a module, or null when it has none. @throws WIRELET_E_MODULE_ABI */
export function readManifest(module: WasmModule): Manifest | null {
  const content = customSection(module, MANIFEST_SECTION);
  if (!content) return null;
  if (content.length > MANIFEST_BYTES_MAX) {
    throw unreadable(`it has ${content.length} bytes, the limit is ${MANIFEST_BYTES_MAX}`);
  }
  const parsed = manifestSchema.safeParse(parseJson(content));
  if (parsed.success) return parsed.data;
  throw unreadable(z.prettifyError(parsed.error).replaceAll('\n', ' '));
}

/** The module with its manifest at the end, where it moves nothing. */
export function writeManifest(wasm: Uint8Array, manifest: Manifest): Uint8Array {
  const content = new TextEncoder().encode(JSON.stringify(manifestSchema.parse(manifest)));
  return appendCustomSection(wasm, MANIFEST_SECTION, content);
}

/** Reads the text of a `wirelet.json`. @throws WIRELET_E_CONFIG_INVALID */
export function parseAuthorManifest(file: string, text: string): AuthorManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const message = `${file}: ${cause instanceof Error ? cause.message : 'no JSON'}`;
    throw new WireletError('WIRELET_E_CONFIG_INVALID', message, { cause, details: { file } });
  }
  const parsed = authorSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const message = `${file}: ${z.prettifyError(parsed.error)}`;
  throw new WireletError('WIRELET_E_CONFIG_INVALID', message, {
    hint: 'wirelet.json may have `name`, `version` and `affinity` (none, flow or symmetric).',
    details: { file },
  });
}

function parseJson(content: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch (cause) {
    throw unreadable(cause instanceof Error ? cause.message : 'it is no JSON', cause);
  }
}

function unreadable(why: string, cause?: unknown): WireletError {
  const message = `The module's manifest can't be read: ${why}.`;
  return new WireletError('WIRELET_E_MODULE_ABI', message, { cause });
}

function fitsName(text: string): boolean {
  return Buffer.byteLength(text) <= NAME_BYTES_MAX;
}
