/**
 * What the engine will check when it loads a module, checked when it is built, where the author
 * sees it. The engine (native/engine) has the last word.
 */
import {
  ABI_VERSION,
  type ErrorCode,
  MODULE_BODY_BYTES_MAX,
  MODULE_FUNCTIONS_MAX,
  PROGRAM_MEMORY,
  PROGRAM_MEMORY_BYTES_MAX,
  WASM_PAGE_BYTES,
} from '../abi.js';
import { WireletError } from '../error.js';
import { callsOf } from './wasm-code.js';
import { importedFunctions, type WasmModule } from './wasm-module.js';

/** The part of the global that is used; its types come with a browser's library only. */
declare const WebAssembly: { validate(bytes: Uint8Array): boolean };

const IMPORT_MODULE = 'wirelet';
const IMPORTS = ['log', 'counter', 'table', 'abort'];
const ABI_EXPORT = `wirelet_abi_${ABI_VERSION}`;

/** @throws WIRELET_E_MODULE_START and the other codes of modules */
export function checkModule(module: WasmModule): void {
  if (module.hasStart) throw new WireletError('WIRELET_E_MODULE_START');
  checkImports(module);
  checkExports(module);
  checkMemory(module);
  checkFunctions(module);
  if (!WebAssembly.validate(module.bytes)) {
    throw new WireletError('WIRELET_E_MODULE_FEATURE', 'The module is not valid.');
  }
}

function checkImports(module: WasmModule): void {
  for (const { module: from, name, kind } of module.imports) {
    if (from === IMPORT_MODULE && IMPORTS.includes(name) && kind === 'function') continue;
    fail('WIRELET_E_MODULE_IMPORT', `The module imports the ${kind} ${from}.${name}.`);
  }
}

function checkExports(module: WasmModule): void {
  const kinds = new Map(module.exports.map(({ name, kind }) => [name, kind]));
  if (kinds.get(ABI_EXPORT) !== 'function') {
    fail('WIRELET_E_MODULE_ABI', `The module does not export ${ABI_EXPORT}().`);
  }
  if (kinds.get('onBurst') !== 'function') {
    fail('WIRELET_E_MODULE_EXPORT', 'The module does not export onBurst(u32).');
  }
  if (kinds.get('memory') !== 'memory') {
    fail('WIRELET_E_MODULE_EXPORT', 'The module does not export its memory.');
  }
}

function checkMemory(module: WasmModule): void {
  const [memory, second] = module.memories;
  if (!memory || second) fail('WIRELET_E_MODULE_MEMORY', 'The module has not one memory.');
  const { initialPages, maximumPages } = memory;
  const own = initialPages * WASM_PAGE_BYTES - PROGRAM_MEMORY;
  if (initialPages !== maximumPages || own <= 0 || own > PROGRAM_MEMORY_BYTES_MAX) {
    const maximum = maximumPages === null ? 'no maximum' : `at most ${maximumPages}`;
    fail('WIRELET_E_MODULE_MEMORY', `The module's memory has ${initialPages} pages, ${maximum}.`);
  }
  const end = PROGRAM_MEMORY + own;
  for (const { offset, bytes } of module.data) {
    if (offset !== null && offset >= PROGRAM_MEMORY && offset + bytes <= end) continue;
    const where = offset === null ? 'at a computed address' : `at 0x${offset.toString(16)}`;
    fail('WIRELET_E_MODULE_DATA', `The module has ${bytes} bytes of data ${where}.`);
  }
}

function checkFunctions(module: WasmModule): void {
  const count = importedFunctions(module).length + module.bodies.length;
  if (count > MODULE_FUNCTIONS_MAX) {
    fail('WIRELET_E_MODULE_LIMIT', `${count} functions, the limit is ${MODULE_FUNCTIONS_MAX}.`);
  }
  for (const body of module.bodies) {
    const bytes = body.end - body.start;
    if (bytes > MODULE_BODY_BYTES_MAX) {
      const limit = `the limit is ${MODULE_BODY_BYTES_MAX}`;
      fail('WIRELET_E_MODULE_LIMIT', `A function of ${bytes} bytes, ${limit}.`);
    }
    callsOf(module, body);
  }
}

function fail(code: ErrorCode, message: string): never {
  throw new WireletError(code, message);
}
