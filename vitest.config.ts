import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** What needs the machine for itself, because it looks at the clock. */
const TIMED = '**/*.timed.test.ts';

/** What `import 'wirelet/test'` means here: the sources, built or not. */
const alias = {
  'wirelet/test/layers': fileURLToPath(new URL('host/src/packet/layers.ts', import.meta.url)),
  'wirelet/test': fileURLToPath(new URL('host/src/test/index.ts', import.meta.url)),
};

export default defineConfig({
  resolve: { alias },
  test: {
    // Each file in a process of its own: the addon pins threads and installs signal handlers.
    pool: 'forks',
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'tests',
          include: ['{host,programs,runtime,test}/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/dist/**', TIMED],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'timed',
          include: [`{host,programs,runtime,test}/${TIMED}`],
          exclude: ['**/node_modules/**', '**/dist/**'],
          // After all others, one file at a time.
          sequence: { groupOrder: 1 },
          maxWorkers: 1,
        },
      },
    ],
  },
});
