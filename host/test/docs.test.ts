import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERRORS } from '../src/abi.js';
import { documents } from '../src/docs.js';
import { CHECKOUT } from './binary.js';

const CODE = /\bWIRELET_E_[A-Z_]+[A-Z]\b/g;

/** Texts of the files below `folder` whose names end so. */
function texts(folder: string, ending: RegExp): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(join(CHECKOUT, folder), {
    withFileTypes: true,
    recursive: true,
  })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && ending.test(path) && !path.includes('node_modules')) {
      found.set(path, readFileSync(path, 'utf8'));
    }
  }
  return found;
}

describe('documents are what the code says', () => {
  it.each(Object.entries(documents()))('%s: `npm run docs` would change nothing', (path, text) => {
    expect(readFileSync(join(CHECKOUT, path), 'utf8')).toBe(text);
  });
});

describe('error codes', () => {
  const sources = new Map([
    ...texts('host/src', /\.ts$/),
    ...texts('native', /\.rs$/),
    ...texts('drivers', /\.rs$/),
  ]);

  it('every code that is written anywhere is in the table', () => {
    const written = [...sources, ...texts('docs', /\.md$/), ...texts('host/test', /\.ts$/)];
    const unknown = written.flatMap(([path, text]) =>
      [...text.matchAll(CODE)]
        .filter(([code]) => !Object.hasOwn(ERRORS, code))
        .map(([code]) => {
          return `${path}: ${code}`;
        }),
    );
    expect(unknown).toEqual([]);
  });

  it('every code of the table is used by native code or host', () => {
    const table = /abi\/src\/errors\.rs$|host\/src\/abi\.ts$/;
    const used = [...sources]
      .filter(([path]) => !table.test(path))
      .map(([, text]) => text)
      .join('\n');
    const rust = readFileSync(join(CHECKOUT, 'native/abi/src/errors.rs'), 'utf8');
    const variants = new Map(
      [...rust.matchAll(/(\w+), "(WIRELET_E_\w+)"/g)].map(([, name = '', code = '']) => [
        code,
        name,
      ]),
    );
    const unused = Object.keys(ERRORS).filter((code) => {
      const native = new RegExp(`ErrorCode::${variants.get(code)}\\b`);
      return !used.includes(`'${code}'`) && !native.test(used);
    });
    expect(unused).toEqual([]);
  });

  it('every hint and meaning is a sentence', () => {
    for (const [code, { meaning }] of Object.entries(ERRORS)) expect(meaning, code).toMatch(/\.$/);
  });
});
