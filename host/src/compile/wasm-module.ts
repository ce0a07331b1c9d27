/** A core module's sections, read as far as building and inspecting need them. */
import { MODULE_BYTES_MAX } from '../abi.js';
import { WireletError } from '../error.js';
import { WasmReader } from './wasm-reader.js';

/** `\0asm` and version 1 of core modules (a component says 13 and layer 1). */
const PREAMBLE = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const SECTION_NAMES = [
  ...['custom', 'type', 'import', 'function', 'table', 'memory', 'global'],
  ...['export', 'start', 'element', 'code', 'data', 'data count'],
];
const EXTERNAL_KINDS = ['function', 'table', 'memory', 'global'] as const;

export type ExternalKind = (typeof EXTERNAL_KINDS)[number];

export interface WasmSection {
  /** As in the specification; a custom section's own name. */
  name: string;
  id: number;
  /** Of its content, in the module. */
  start: number;
  end: number;
}

export interface WasmImport {
  module: string;
  name: string;
  kind: ExternalKind;
  /** A function's type. */
  type: number | null;
}

export interface WasmExport {
  name: string;
  kind: ExternalKind;
  index: number;
}

export interface WasmBody {
  start: number;
  end: number;
}

export interface WasmData {
  mode: 'active' | 'passive';
  /** Null when it is computed. */
  offset: number | null;
  bytes: number;
}

export interface WasmMemory {
  initialPages: number;
  maximumPages: number | null;
}

export interface WasmModule {
  bytes: Uint8Array;
  sections: WasmSection[];
  /** Each type's bytes as text: equal text, equal type. */
  types: string[];
  imports: WasmImport[];
  /** Types of the functions that the module defines. */
  functions: number[];
  memories: WasmMemory[];
  exports: WasmExport[];
  hasStart: boolean;
  /** Functions that an indirect call may reach. */
  elements: number[];
  bodies: WasmBody[];
  data: WasmData[];
  /** Functions' names, where the module has them. */
  names: Map<number, string>;
}

/** Reads a module. @throws WIRELET_E_MODULE_NOT_WASM, WIRELET_E_MODULE_LIMIT */
export function readModule(bytes: Uint8Array, bytesMax = MODULE_BYTES_MAX): WasmModule {
  if (PREAMBLE.some((byte, index) => bytes[index] !== byte)) {
    throw new WireletError('WIRELET_E_MODULE_NOT_WASM', 'The file is no core WebAssembly module.');
  }
  if (bytes.length > bytesMax) {
    const message = `The module has ${bytes.length} bytes, the limit is ${bytesMax}.`;
    throw new WireletError('WIRELET_E_MODULE_LIMIT', message);
  }
  const module = emptyModule(bytes);
  const reader = new WasmReader(bytes, PREAMBLE.length);
  while (!reader.isAtEnd) {
    const section = readSection(reader);
    module.sections.push(section);
    readContent(module, section);
  }
  return module;
}

/** The content of a custom section, or null. */
export function customSection(module: WasmModule, name: string): Uint8Array | null {
  const found = module.sections.find((each) => each.id === 0 && each.name === name);
  return found ? module.bytes.subarray(found.start, found.end) : null;
}

/** The module with one more custom section at its end: what is before it does not move. */
export function appendCustomSection(
  wasm: Uint8Array,
  name: string,
  content: Uint8Array,
): Uint8Array {
  const nameBytes = new TextEncoder().encode(name);
  const length = leb(nameBytes.length);
  const size = leb(length.length + nameBytes.length + content.length);
  return Uint8Array.from(
    Buffer.concat([wasm, [0], size, length, nameBytes, content].map(Buffer.from)),
  );
}

/** The name and type of a function: of the module's own, or an imported one's. */
export function functionName(module: WasmModule, index: number): string {
  const imported = importedFunctions(module)[index];
  if (imported) return `${imported.module}.${imported.name}`;
  return module.names.get(index) ?? `function ${index}`;
}

export function importedFunctions(module: WasmModule): WasmImport[] {
  return module.imports.filter((each) => each.kind === 'function');
}

function leb(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Uint8Array.from(bytes);
}

function emptyModule(bytes: Uint8Array): WasmModule {
  return {
    bytes,
    sections: [],
    types: [],
    imports: [],
    functions: [],
    memories: [],
    exports: [],
    hasStart: false,
    elements: [],
    bodies: [],
    data: [],
    names: new Map(),
  };
}

function readSection(reader: WasmReader): WasmSection {
  const id = reader.u8();
  const size = reader.u32();
  const start = reader.offset;
  reader.skip(size);
  const end = reader.offset;
  if (id !== 0) return { name: SECTION_NAMES[id] ?? `unknown ${id}`, id, start, end };
  const inner = new WasmReader(reader.bytes, start, end);
  const name = inner.name();
  return { name, id, start: inner.offset, end };
}

function readContent(module: WasmModule, { id, name, start, end }: WasmSection): void {
  const reader = new WasmReader(module.bytes, start, end);
  if (id === 0 && name === 'name') module.names = readNames(reader);
  else if (id === 1) module.types = readTypes(reader);
  else if (id === 2) module.imports = reader.list(() => readImport(module, reader));
  else if (id === 3) module.functions = reader.list(() => reader.u32());
  else if (id === 5) module.memories.push(...reader.list(() => readMemory(reader)));
  else if (id === 7) module.exports = reader.list(() => readExport(reader));
  else if (id === 8) module.hasStart = true;
  else if (id === 9) module.elements = reader.list(() => readElement(reader)).flat();
  else if (id === 10) module.bodies = reader.list(() => readBody(reader));
  else if (id === 11) module.data = reader.list(() => readData(reader));
}

function readTypes(reader: WasmReader): string[] {
  return reader.list(() => {
    const form = reader.u8();
    if (form !== 0x60) throw feature(`a type of form 0x${form.toString(16)}`);
    const parameters = reader.list(() => reader.u8());
    const results = reader.list(() => reader.u8());
    return `${parameters.join(' ')} -> ${results.join(' ')}`;
  });
}

function readImport(module: WasmModule, reader: WasmReader): WasmImport {
  const [from, name] = [reader.name(), reader.name()];
  const kind = readKind(reader);
  const type = kind === 'function' ? reader.u32() : null;
  if (kind === 'table') {
    reader.u8();
    readLimits(reader);
  } else if (kind === 'memory') {
    module.memories.push(readMemory(reader));
  } else if (kind === 'global') {
    reader.skip(2);
  }
  return { module: from, name, kind, type };
}

function readKind(reader: WasmReader): ExternalKind {
  const kind = EXTERNAL_KINDS[reader.u8()];
  if (!kind) throw feature('an import or export of an unknown kind');
  return kind;
}

function readLimits(reader: WasmReader): { minimum: number; maximum: number | null } {
  const flags = reader.u8();
  if (flags > 1) throw feature('a shared or 64-bit memory');
  const minimum = reader.u32();
  return { minimum, maximum: flags === 1 ? reader.u32() : null };
}

function readMemory(reader: WasmReader): WasmMemory {
  const { minimum, maximum } = readLimits(reader);
  return { initialPages: minimum, maximumPages: maximum };
}

function readExport(reader: WasmReader): WasmExport {
  return { name: reader.name(), kind: readKind(reader), index: reader.u32() };
}

function readElement(reader: WasmReader): number[] {
  const flags = reader.u32();
  if (flags !== 0) throw feature('an element segment of a later form');
  readConstant(reader);
  return reader.list(() => reader.u32());
}

function readBody(reader: WasmReader): WasmBody {
  const size = reader.u32();
  const start = reader.offset;
  reader.skip(size);
  return { start, end: reader.offset };
}

function readData(reader: WasmReader): WasmData {
  const flags = reader.u32();
  if (flags > 1) throw feature('a data segment of a second memory');
  const offset = flags === 0 ? readConstant(reader) : null;
  const bytes = reader.u32();
  reader.skip(bytes);
  return { mode: flags === 0 ? 'active' : 'passive', offset, bytes };
}

/** `i32.const n end` is a number; `global.get n end` is not known here. */
function readConstant(reader: WasmReader): number | null {
  const opcode = reader.u8();
  if (opcode !== 0x41 && opcode !== 0x23) throw feature('a computed constant');
  const value = opcode === 0x41 ? reader.signed() : reader.u32();
  if (reader.u8() !== 0x0b) throw feature('a computed constant');
  return opcode === 0x41 ? value : null;
}

/** The functions' part of the name section; a damaged one names nothing. */
function readNames(reader: WasmReader): Map<number, string> {
  const names = new Map<number, string>();
  try {
    while (!reader.isAtEnd) {
      const kind = reader.u8();
      const size = reader.u32();
      const end = reader.offset + size;
      if (kind === 1) reader.list(() => names.set(reader.u32(), reader.name()));
      reader.offset = end;
    }
  } catch (error) {
    if (!(error instanceof WireletError)) throw error;
  }
  return names;
}

function feature(what: string): WireletError {
  return new WireletError('WIRELET_E_MODULE_FEATURE', `The module has ${what}.`);
}
