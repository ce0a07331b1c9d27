// Writes the documents that come out of the code; `npm run docs`.
import { writeFileSync } from 'node:fs';
import { documents } from '../dist/docs.js';

for (const [path, text] of Object.entries(documents())) {
  writeFileSync(new URL(`../../${path}`, import.meta.url), text);
  process.stdout.write(`${path}\n`);
}
