#!/usr/bin/env node
// Starts the compiled command line; the only part of the host that runs without a build.
import { existsSync } from 'node:fs';

const compiled = new URL('../dist/cli.js', import.meta.url);

if (existsSync(compiled)) {
  // A reader that leaves (`wirelet ... | head`) is no error.
  process.stdout.on('error', (error) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  const { main } = await import(compiled.href);
  process.exitCode = await main(process.argv.slice(2));
} else {
  process.stderr.write('wirelet is not built yet: run `npm run setup` in its checkout.\n');
  process.exitCode = 1;
}
