/** The files that a config is made of: itself, and what it imports by relative paths. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** `from './x'`, `import './x'`, `import('./x')` and `require('./x')`. */
const IMPORT = /(?:\bfrom|\bimport|\brequire)\s*\(?\s*(["'])(\.{1,2}\/[^"'\n]+)\1/g;
/** What may stand behind the name of an import, and what TypeScript writes `.js` for. */
const ENDINGS = ['', '.ts', '.js', '.mjs', '.json', '/index.ts', '/index.js'];
/** A config of more files than this is a program of its own. */
const FILES_MAX = 64;

/** `file` and what it leads to; what can't be read leads nowhere. */
export function withImports(file: string): string[] {
  const files = [file];
  for (const each of files) {
    for (const found of importsOf(each)) {
      if (!files.includes(found) && files.length < FILES_MAX) files.push(found);
    }
  }
  return files;
}

function importsOf(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return [...text.matchAll(IMPORT)].flatMap(([, , name = '']) => {
    const base = join(dirname(file), name);
    const bare = base.replace(/\.(m?)js$/, '');
    const candidates = [...ENDINGS.map((ending) => base + ending), `${bare}.ts`, `${bare}.mts`];
    return candidates.find(isFile) ?? [];
  });
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
