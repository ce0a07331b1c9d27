/** A real `wirelet run` inside a network namespace. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Conservation } from '../../host/src/stats/conservation.js';
import type { Stats } from '../../host/src/stats/stats.js';
import type { Namespace } from './namespace.js';

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));
const BINARY = join(CHECKOUT, 'host/bin/wirelet.js');
const SOCKET = 'control.sock';
const PATIENCE_MS = 60_000;

/** What `wirelet run --json` says at its end. */
export interface Report {
  conservation: Conservation;
  stats: Stats;
  /** `program/name`. */
  counters: Record<string, number>;
  errors: { code: string }[];
  interrupted: boolean;
}

export class RunningAppliance {
  readonly #folder: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  /** Its control socket. */
  readonly socket: string;
  stdout = '';
  stderr = '';

  private constructor(folder: string, child: ChildProcess) {
    this.#folder = folder;
    this.socket = join(folder, SOCKET);
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once('close', resolve));
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
  }

  /**
   * Starts one with this config, an object of the shape that `defineConfig` takes, and with these
   * variables beside ours.
   */
  static start(namespace: Namespace, config: object, env: object = {}): Promise<RunningAppliance> {
    const folder = mkdtempSync(join(tmpdir(), 'wirelet-netns-'));
    return RunningAppliance.#startIn(folder, namespace, config, env);
  }

  /** Another one in the folder of this one, which has ended: its config and socket may differ. */
  startAgain(namespace: Namespace, config: object): Promise<RunningAppliance> {
    return RunningAppliance.#startIn(this.#folder, namespace, config);
  }

  static async #startIn(
    folder: string,
    namespace: Namespace,
    config: object,
    env: object = {},
  ): Promise<RunningAppliance> {
    writeFileSync(join(folder, 'wirelet.config.json'), JSON.stringify(config));
    const socket = join(folder, SOCKET);
    const command = [process.execPath, BINARY, 'run', folder, '--json', '--socket', socket];
    const [file, args] = namespace.inside(command);
    const child = spawn(file, args, {
      cwd: CHECKOUT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const running = new RunningAppliance(folder, child);
    await running.says(' running');
    return running;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Waits until it has said this, `times` times. */
  async says(text: string, times = 1): Promise<void> {
    const started = performance.now();
    while (this.stderr.split(text).length <= times) {
      if (this.#child.exitCode !== null || performance.now() - started > PATIENCE_MS) {
        this.kill();
        throw new Error(`the appliance does not say "${text}": ${this.stderr}${this.stdout}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** As kill -9 ends it; its folder stays. */
  async die(): Promise<void> {
    this.signal('SIGKILL');
    await this.#ended;
  }

  /** Its last words, after ^C. */
  async stop(): Promise<Report> {
    this.#child.kill('SIGINT');
    return this.end();
  }

  /** Its last words, when it ends by itself. */
  async end(): Promise<Report> {
    const timer = setTimeout(() => this.kill(), PATIENCE_MS);
    await this.#ended;
    clearTimeout(timer);
    this.kill();
    const { data } = JSON.parse(this.stdout) as { data: Report };
    return data;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
