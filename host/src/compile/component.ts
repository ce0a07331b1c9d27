/**
 * jco's part: the control interface's world goes into a module's custom section, and modules are
 * printed as text. jco takes 0.1 s to load, so it is loaded when it is asked for.
 */
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { WireletError } from '../error.js';

const WIT = new URL('../../wit/wirelet.wit', import.meta.url);
const WORLD = 'program';
/** The largest module prints in two seconds. */
const TOOL_TIMEOUT_MS = 30_000;
const TOOL_HEAP_MIB_MAX = 1024;

type Jco = typeof import('@bytecodealliance/jco');

let jco: Promise<Jco> | null = null;

/** Loads jco, so that it is there when it is needed; a failure shows when it is used. */
export function warmComponentTools(): void {
  loadJco().catch(() => undefined);
}

/** The module, which asc wrote, with the control interface's world in a section at its end. */
export async function embedWorld(wasm: Uint8Array): Promise<Uint8Array> {
  const { componentEmbed } = await loadJco();
  const witSource = readFileSync(WIT, 'utf8');
  const embedded = await componentEmbed({ binary: wasm, witSource, world: WORLD });
  // Trap offsets are looked up in asc's source map: nothing may have moved.
  const isKept = wasm.every((byte, index) => embedded[index] === byte);
  if (isKept) return embedded;
  throw new WireletError('WIRELET_E_INTERNAL', 'componentEmbed rewrote the module.');
}

/** The WIT in a `component-type` section, as text; null when it can't be read. */
export async function embeddedWit(section: Uint8Array): Promise<string | null> {
  const { text } = await runTool('wit', section);
  return text ?? null;
}

/** The module as WebAssembly text, for `wirelet inspect --wat`. */
export async function disassemble(wasm: Uint8Array): Promise<string> {
  const { text, why } = await runTool('print', wasm);
  if (text !== undefined) return text;
  throw new WireletError('WIRELET_E_MODULE_NOT_WASM', `The module can't be printed: ${why}`);
}

interface ToolReply {
  text?: string;
  why?: string;
}

/** Runs a jco tool over bytes from anywhere, in a thread of its own. */
async function runTool(tool: 'print' | 'wit', bytes: Uint8Array): Promise<ToolReply> {
  const worker = new Worker(new URL('./component-worker.js', import.meta.url), {
    workerData: { tool, bytes },
    execArgv: [],
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: TOOL_HEAP_MIB_MAX },
  });
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise<ToolReply>((resolve) => {
      timer = setTimeout(() => resolve({ why: 'it took too long' }), TOOL_TIMEOUT_MS);
      worker.on('message', resolve);
      worker.on('error', (error) => resolve({ why: error.message }));
      worker.on('exit', () => resolve({ why: 'jco ended' }));
    });
  } finally {
    clearTimeout(timer);
    await worker.terminate();
  }
}

function loadJco(): Promise<Jco> {
  jco ??= import('@bytecodealliance/jco');
  return jco;
}
