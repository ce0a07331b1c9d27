/**
 * What the compiler's thread is asked and what it answers. Plain data only: it crosses threads.
 *
 * The thread knows asc and nothing of Wirelet's checks, manifest or cache; those need no asc.
 */

import type { TABLE_KINDS } from '../abi.js';

/** asc's own options by name, as in asconfig.json. */
export type AscOptions = Record<string, string | number | boolean | string[]>;

export interface CompileJob {
  id: number;
  /** Absolute path of the author's entry file. */
  file: string;
  /** Folder that asc names files relative to: the author's folder. */
  folder: string;
  /** Folder of the guest SDK: every import of `@wirelet/runtime` reads there. */
  runtime: string;
  options: AscOptions;
}

export type Entry = 'onPacket' | 'onBurst';

/** A place in a source text, as asc sees it: offsets in UTF-16 units. */
export interface RawRange {
  /** asc's name of the source, such as `index.ts` or `~lib/map.ts`. */
  source: string;
  start: number;
  end: number;
}

export interface RawDiagnostic {
  /** asc's number, or a code of Wirelet's table. */
  code: number | string;
  severity: 'error' | 'warning' | 'info';
  message: string;
  range: RawRange | null;
  related: RawRange | null;
}

/** A file that asc asked for; text null when there is none at that path. */
export interface ReadFile {
  path: string;
  text: string | null;
}

/** Fields of the type of a table's keys or values: `source:u32@0,port:u16@4`. */
export interface TableType {
  name: string;
  layout: string;
}

export type TableKind = Exclude<(typeof TABLE_KINDS)[number], ''>;

/** What the program's text says about one of its tables. */
export interface KnownTable {
  name: string;
  kind: TableKind;
  shared: boolean;
  /** Where the text has it as a number. */
  capacity?: number;
  /** Names of types; none where the kind decides. */
  keyType?: string;
  valueType?: string;
}

export interface CompileReply {
  id: number;
  /** The optimised module and its source map, both null when there were errors. */
  wasm: Uint8Array | null;
  sourceMap: string | null;
  /** The same module before optimisation, with names, and its map: for the call graph. */
  plain: Uint8Array | null;
  plainMap: string | null;
  entry: Entry | null;
  tableTypes: TableType[];
  tables: KnownTable[];
  diagnostics: RawDiagnostic[];
  /** Every path that asc tried, in the order of trying. */
  files: ReadFile[];
  /** asc's source names to their texts and paths (null: inside asc). */
  sources: Record<string, { text: string; path: string | null }>;
  /** What asc said when it failed without a diagnostic. */
  failure: string | null;
}
