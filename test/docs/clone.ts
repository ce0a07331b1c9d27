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

/** Set-up has been run before any test, and this test is a part of `npm test`. */
const INSTEAD: Record<string, string> = {
  'npm run demo': 'node host/bin/wirelet.js demo',
  'npm test': 'true',
  // It would never end by itself.
  'npx wirelet dev': untilEnded('node host/bin/wirelet.js dev', 'the inputs have ended'),
};
const TIMEOUT_SECONDS = 100;

/** Runs `command` until it prints `text`, then ends it as ^C does. */
function untilEnded(command: string, text: string): string {
  return [
    `${command} > ended.txt 2>&1 & process=$!`,
    `for each in {1..800}; do grep -q '${text}' ended.txt && break; sleep 0.1; done`,
    'kill -TERM $process; wait $process; status=$?; cat ended.txt; [ $status = 130 ]',
  ].join('\n');
}

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

  /** Runs a shell command; what it has printed. @throws when it fails or takes too long */
  run(command: string): string {
    // timeout(1) ends what the command has started, too; spawnSync's own would not.
    const args = ['--kill-after=5', String(TIMEOUT_SECONDS), 'bash', '-c'];
    const result = spawnSync('timeout', [...args, INSTEAD[command] ?? command], {
      cwd: this.#folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = stripVTControlCharacters(`${result.stdout}${result.stderr}`);
    if (result.status === 0) return output;
    throw new Error(`\`${command}\` ended with ${result.status}:\n${output}`);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
