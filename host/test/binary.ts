/** Runs the real `wirelet` in a process of its own. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const BINARY = fileURLToPath(new URL('../bin/wirelet.js', import.meta.url));
export const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));
const COMPILED = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

export interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Called with everything on stderr and stdout so far, whenever there is more. */
  onOutput?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
}

/** The end of `wirelet ...args`; its environment has none of our variables but those given. */
export async function wirelet(args: string[], options: RunOptions = {}): Promise<Ended> {
  if (!existsSync(COMPILED)) throw new Error(`${COMPILED} is not there: run \`npm run setup\``);
  const env = { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...options.env };
  const child = spawn(process.execPath, [BINARY, ...args], {
    cwd: options.cwd ?? CHECKOUT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
      options.onOutput?.(texts.stderr + texts.stdout, (signal) => child.kill(signal));
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, ...texts }));
  });
}

/** The `{ schema, data }` of `--json`; fails when stdout holds anything else. */
export function jsonOf({ stdout }: Ended): { schema: string; data: Record<string, unknown> } {
  return JSON.parse(stdout) as { schema: string; data: Record<string, unknown> };
}
