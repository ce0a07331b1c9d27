/** What is in a module, for `wirelet inspect`. */
import { PROGRAM_MEMORY, WASM_PAGE_BYTES } from '../abi.js';
import { embeddedWit } from './component.js';
import { type Manifest, readManifest } from './manifest.js';
import {
  importedFunctions,
  readModule,
  type WasmData,
  type WasmExport,
  type WasmImport,
} from './wasm-module.js';

export interface ModuleReport {
  bytes: number;
  sections: { name: string; bytes: number }[];
  imports: Pick<WasmImport, 'module' | 'name' | 'kind'>[];
  exports: WasmExport[];
  memory: { initialPages: number; maximumPages: number | null; ownBytes: number } | null;
  data: WasmData[];
  functions: { imported: number; defined: number; largestBytes: number };
  hasStart: boolean;
  manifest: Manifest | null;
  /** The embedded control interface, as WIT text. */
  wit: string | null;
}

/** Reads a module. @throws WIRELET_E_MODULE_NOT_WASM and the other codes of modules */
export async function inspectModule(wasm: Uint8Array): Promise<ModuleReport> {
  const module = readModule(wasm);
  const [memory] = module.memories;
  const world = module.sections.find(({ name }) => name.startsWith('component-type'));
  return {
    bytes: wasm.length,
    sections: module.sections.map(({ name, start, end }) => ({ name, bytes: end - start })),
    imports: module.imports.map(({ module: from, name, kind }) => ({ module: from, name, kind })),
    exports: module.exports,
    memory: memory
      ? { ...memory, ownBytes: memory.initialPages * WASM_PAGE_BYTES - PROGRAM_MEMORY }
      : null,
    data: module.data,
    functions: {
      imported: importedFunctions(module).length,
      defined: module.bodies.length,
      largestBytes: Math.max(0, ...module.bodies.map(({ start, end }) => end - start)),
    },
    hasStart: module.hasStart,
    manifest: readManifest(module),
    wit: world ? await embeddedWit(wasm.subarray(world.start, world.end)) : null,
  };
}
