/** Folders that Wirelet makes. */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

/** With its parents, one by one: Node's own `recursive` never returns for a path under /proc. */
export function makeFolder(path: string, mode = 0o777): void {
  if (existsSync(path)) return;
  makeFolder(dirname(path), mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Somebody else was faster: as good.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
