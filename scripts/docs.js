/** `npm run docs`: writes what documents repeat of the code. Tests fail when they differ. */
import { readFileSync, writeFileSync } from 'node:fs';
import { burstPicture, burstRows } from './bursts.js';
import { MEASURED_TABLES } from './measured.js';
import { DEVICE_SOURCES, deviceOptions, dropReasons, limits, withRows } from './tables.js';

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

const devices = Object.entries(DEVICE_SOURCES).reduce(
  (text, [name, file]) => withRows(text, name, deviceOptions(read(`drivers/src/${file}`))),
  read('docs/devices.md'),
);
writeFileSync(new URL('docs/devices.md', ROOT), devices);
process.stdout.write('docs/devices.md\n');

const raw = (name) => JSON.parse(read(`bench/results/${name}.json`));
const bursts = raw('bursts');
const measured = MEASURED_TABLES.reduce(
  (text, { heading, file, rowsOf }) => withRows(text, heading, rowsOf(raw(file))),
  withRows(read('docs/performance.md'), 'Bursts and chains', burstRows(bursts)),
);
writeFileSync(new URL('docs/performance.md', ROOT), measured);
writeFileSync(new URL('docs/bursts.svg', ROOT), burstPicture(bursts));
process.stdout.write('docs/performance.md\ndocs/bursts.svg\n');
