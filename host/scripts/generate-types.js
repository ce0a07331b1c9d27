/**
 * Writes host/src/compile/generated/ from host/wit/: jco's TypeScript types of the control
 * interface. `node host/scripts/generate-types.js`; a test regenerates and expects no difference.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { types } from '@bytecodealliance/jco';

const host = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const NOTICE = '// DO NOT EDIT: written from host/wit by `node host/scripts/generate-types.js`.\n';

/**
 * The generated files by path below src/compile/generated/.
 *
 * jco writes `.d.ts`; here they are `.ts`, so that tsc carries them into dist/.
 * @returns {Promise<Map<string, string>>}
 */
export async function generateTypes() {
  const files = await types(path.join(host, 'wit'), { name: 'program', worldName: 'program' });
  const texts = new Map();
  for (const [name, bytes] of Object.entries(files)) {
    const text = new TextDecoder()
      .decode(bytes)
      .replaceAll(/^export function/gm, 'export declare function');
    texts.set(name.replace(/\.d\.ts$/, '.ts'), NOTICE + text);
  }
  return texts;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, text] of await generateTypes()) {
    const file = path.join(host, 'src/compile/generated', name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
}
