/**
 * The thread that shows modules to jco: they come from anywhere, and a trap in jco's own component
 * leaves it unusable, here for the rest of this thread only.
 *
 * Plain JavaScript, checked by TypeScript: see entry.js.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { print } from '@bytecodealliance/jco';
import { unpackWit } from '@bytecodealliance/jco-transpile';

/** @type {{ tool: 'print' | 'wit', bytes: Uint8Array }} */
const { tool, bytes } = workerData;

try {
  parentPort?.postMessage({ text: tool === 'print' ? await print(bytes) : await wit() });
} catch (error) {
  parentPort?.postMessage({ why: error instanceof Error ? error.message : String(error) });
}

/** The texts of an encoded WIT package, one behind the other. */
async function wit() {
  const files = new Map(await unpackWit(undefined, bytes));
  return [...files.values()].join('\n');
}
