/**
 * jco's part: the control interface's world goes into a module's custom section, and modules are
 * printed as text. jco takes 0.1 s to load, so it is loaded when it is asked for.
 */
import { readFileSync } from 'node:fs';
import { WireletError } from '../error.js';

const WIT = new URL('../../wit/wirelet.wit', import.meta.url);
const WORLD = 'program';

type Jco = typeof import('@bytecodealliance/jco');

let jco: Promise<Jco> | null = null;

/** Loads jco, so that it is there when it is needed; a failure shows when it is used. */
export function warmComponentTools(): void {
  loadJco().catch(() => undefined);
}

/** The module with the control interface's world in a custom section at its end. */
export async function embedWorld(wasm: Uint8Array): Promise<Uint8Array> {
  const { componentEmbed } = await loadJco();
  const witSource = readFileSync(WIT, 'utf8');
  const embedded = await componentEmbed({ binary: wasm, witSource, world: WORLD });
  // Trap offsets are looked up in asc's source map: nothing may have moved.
  const isKept = wasm.every((byte, index) => embedded[index] === byte);
  if (isKept) return embedded;
  throw new WireletError('WIRELET_E_INTERNAL', 'componentEmbed rewrote the module.');
}

/** The WIT that a module has embedded, as text; null when it has none. */
export async function embeddedWit(wasm: Uint8Array): Promise<string | null> {
  const { componentWit } = await loadJco();
  try {
    return await componentWit(wasm);
  } catch {
    return null;
  }
}

/** The module as WebAssembly text, for `wirelet inspect --wat`. */
export async function disassemble(wasm: Uint8Array): Promise<string> {
  const { print } = await loadJco();
  try {
    return await print(wasm);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new WireletError('WIRELET_E_MODULE_NOT_WASM', `The module can't be printed: ${why}`, {
      cause,
    });
  }
}

function loadJco(): Promise<Jco> {
  jco ??= import('@bytecodealliance/jco');
  return jco;
}
