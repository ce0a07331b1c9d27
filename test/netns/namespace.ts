/**
 * Network namespaces without names: each lives as long as a process that sleeps in it, so nothing
 * is left behind whatever becomes of a test.
 */
import {
  type ChildProcess,
  type ChildProcessWithoutNullStreams,
  execFileSync,
  spawn,
} from 'node:child_process';
import { readlinkSync } from 'node:fs';

/** No namespace lives longer, even if nobody closes it, unless that is asked for. */
const LIFETIME_S = 600;

export class Namespace {
  readonly #sleeper: ChildProcess;
  readonly #background: ChildProcess[] = [];

  private constructor(sleeper: ChildProcess) {
    this.#sleeper = sleeper;
  }

  /** A new one, with nothing but loopback in it. */
  static async create(lifetimeS = LIFETIME_S): Promise<Namespace> {
    const sleeper = spawn('unshare', ['--net', 'sleep', String(lifetimeS)], { stdio: 'ignore' });
    const namespace = new Namespace(sleeper);
    const ours = readlinkSync('/proc/self/ns/net');
    for (let attempt = 0; attempt < 500; attempt++) {
      if (readlinkSync(`/proc/${namespace.pid}/ns/net`) !== ours) return namespace;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    namespace.close();
    throw new Error('unshare did not make a network namespace');
  }

  get pid(): number {
    return this.#sleeper.pid ?? 0;
  }

  /** The words of a command that run `command` inside. */
  inside(command: readonly string[]): [string, string[]] {
    return ['nsenter', [`--net=/proc/${this.pid}/ns/net`, ...command]];
  }

  /** What `command` prints; fails when it does. */
  run(...command: string[]): string {
    const [file, args] = this.inside(command);
    return execFileSync(file, args, { encoding: 'utf8', timeout: 60_000 });
  }

  /** Starts `command` inside; it is killed with the namespace, if it still runs. */
  start(...command: string[]): ChildProcessWithoutNullStreams {
    const [file, args] = this.inside(command);
    const child = spawn(file, args, { stdio: 'pipe' });
    this.#background.push(child);
    return child;
  }

  /** `ip` with these words. */
  ip(words: string): void {
    this.run('ip', ...words.split(' '));
  }

  /** A pair of joined interfaces, `here` and `there` in `other`; both up. */
  veth(here: string, other: Namespace, there: string): void {
    this.ip(`link add ${here} type veth peer name ${there} netns ${other.pid}`);
    this.ip(`link set ${here} up`);
    other.ip(`link set ${there} up`);
  }

  close(): void {
    for (const child of this.#background) child.kill('SIGKILL');
    this.#sleeper.kill('SIGKILL');
  }
}

/** Waits until a program has printed `text`. */
export function said(child: ChildProcessWithoutNullStreams, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = '';
    const look = (chunk: Buffer): void => {
      output += chunk;
      if (output.includes(text)) resolve();
    };
    child.stdout.on('data', look);
    child.stderr.on('data', look);
    child.once('close', () => reject(new Error(`it ended: ${output}`)));
  });
}

/** Why these tests can't run here; undefined when they can. */
export function obstacle(...tools: string[]): string | undefined {
  if (process.getuid?.() !== 0) return 'not root';
  const missing = ['ip', 'unshare', 'nsenter', ...tools].filter((tool) => !exists(tool));
  return missing.length === 0 ? undefined : `not installed: ${missing.join(', ')}`;
}

function exists(tool: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
