/** A folder in which the documents' commands find what they would find in a clone. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/** What a clone has and commands read; what they write stays in the folder. */
const PARTS = [
  'asconfig.json',
  'host',
  'native',
  'node_modules',
  'package.json',
  'programs',
  'runtime',
  'scripts',
];

/** Commands that are not run here, because this test is a part of them. */
const NOT_HERE = new Set(['npm test']);
const TIMEOUT_MS = 60_000;

export class Clone {
  readonly #folder = mkdtempSync(join(tmpdir(), 'wirelet-docs-'));

  constructor(root: string) {
    for (const part of PARTS) symlinkSync(join(root, part), join(this.#folder, part));
  }

  write(name: string, text: string): void {
    const file = join(this.#folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  /** Runs a shell command and returns what it has printed. @throws when it fails or takes too long */
  run(command: string): string {
    if (NOT_HERE.has(command)) return '';
    const result = spawnSync('bash', ['-c', command], {
      cwd: this.#folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIMEOUT_MS,
    });
    const output = stripVTControlCharacters(`${result.stdout}${result.stderr}`);
    if (result.status === 0) return output;
    throw new Error(`\`${command}\` ended with ${result.signal ?? result.status}:\n${output}`);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
