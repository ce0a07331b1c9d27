/** `npm run docs`: writes what documents repeat of the code. Tests fail when they differ. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dropReasons, limits, withRows } from './tables.js';

const ROOT = new URL('../', import.meta.url);
const read = (path) => readFileSync(new URL(path, ROOT), 'utf8');

// docs/cli.md and docs/errors.md.
await import('../host/scripts/docs.js');

const path = 'docs/architecture.md';
const reasons = dropReasons(read('native/abi/src/drops.rs'));
const withReasons = withRows(read(path), 'Drop reasons', reasons);
const text = withRows(withReasons, 'Limits', limits(read('native/abi/src/limits.rs')));
writeFileSync(new URL(path, ROOT), text);
process.stdout.write(`${path}\n`);
