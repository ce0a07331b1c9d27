/** A `wirelet run` in a process and a folder of its own, and verbs that talk to it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { ControlClient } from '../src/control/client.js';
import type { Status } from '../src/control/status.js';
import { BINARY, type Ended, jsonOf, wirelet } from './binary.js';

const START_MS = 50_000;

export class Running {
  readonly folder: string;
  /** Everything that it has printed. */
  output = '';
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;

  private constructor(folder: string, args: readonly string[]) {
    this.folder = folder;
    this.#child = spawn(process.execPath, [BINARY, 'run', ...args], {
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: process.env.HOME, XDG_RUNTIME_DIR: folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    this.#ended = new Promise((resolve) => this.#child.on('close', resolve));
  }

  /** Waits until the appliance of `config` runs. */
  static async start(config: object, args: readonly string[] = []): Promise<Running> {
    const folder = mkdtempSync(join(tmpdir(), 'wirelet-running-'));
    writeConfig(folder, config);
    return Running.#until(new Running(folder, args));
  }

  /** Starts another one in the folder of one that has ended. */
  again(): Promise<Running> {
    return Running.#until(new Running(this.folder, []));
  }

  static async #until(running: Running): Promise<Running> {
    await running.says('; ^C stops it');
    return running;
  }

  /** Another config in its folder, which changes nothing yet. */
  configure(config: object): void {
    writeConfig(this.folder, config);
  }

  /** The end of a verb in its folder. */
  run(...args: string[]): Promise<Ended> {
    return wirelet(args, { cwd: this.folder, env: { XDG_RUNTIME_DIR: this.folder } });
  }

  /** The `data` of a verb with `--json` that ends well. */
  async data(...args: string[]): Promise<Record<string, unknown>> {
    const ended = await this.run(...args, '--json');
    if (ended.status !== 0) throw new Error(`${args.join(' ')}: ${ended.stderr}`);
    return jsonOf(ended).data;
  }

  /** What it says of itself, asked without a process in between. */
  async status(): Promise<Status> {
    const socket = join(this.folder, 'wirelet', `${basename(this.folder)}.sock`);
    const client = await ControlClient.connect(socket);
    try {
      return (await client.ask('status', {})) as Status;
    } finally {
      client.close();
    }
  }

  /** Waits for a text in the output of the appliance. */
  async says(text: string): Promise<void> {
    const deadline = performance.now() + START_MS;
    while (!this.output.includes(text)) {
      if (performance.now() > deadline || this.#child.exitCode !== null) {
        throw new Error(`it does not say "${text}":\n${this.output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  kill(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.#ended;
  }

  /** Ends it in good order; the exit status. */
  async stop(): Promise<number | null> {
    const status = await this.kill('SIGINT');
    rmSync(this.folder, { recursive: true, force: true });
    return status;
  }
}

function writeConfig(folder: string, config: object): void {
  writeFileSync(join(folder, 'wirelet.config.json'), JSON.stringify(config));
}
