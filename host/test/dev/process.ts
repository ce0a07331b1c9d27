/** `wirelet dev` in a process of its own, and a project for it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { BINARY } from '../binary.js';

export class Project {
  readonly folder: string;

  constructor(folder: string, files: Readonly<Record<string, string>>) {
    this.folder = folder;
    for (const [name, text] of Object.entries(files)) this.write(name, text);
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  write(name: string, text: string): void {
    mkdirSync(dirname(this.path(name)), { recursive: true });
    writeFileSync(this.path(name), text);
  }

  /** Replaces what stands in a file. @throws when it does not stand there */
  edit(name: string, from: string, to: string): void {
    const text = readFileSync(this.path(name), 'utf8');
    if (!text.includes(from)) throw new Error(`${name} has no "${from}"`);
    writeFileSync(this.path(name), text.replace(from, to));
  }
}

export class DevProcess {
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  #output = '';
  /** What `until` has seen. */
  #seen = 0;
  #onOutput: () => void = () => {};

  /** With `terminal` it has one, by util-linux's script. */
  constructor({ folder }: Project, { terminal = false } = {}) {
    const command = [process.execPath, BINARY, 'dev'];
    const shown = command.map((word) => `'${word}'`).join(' ');
    const [file = '', ...args] = terminal ? ['script', '-qefc', shown, '/dev/null'] : command;
    const { PATH = '', HOME = '' } = process.env;
    this.#child = spawn(file, args, {
      cwd: folder,
      env: { PATH, HOME, TERM: 'xterm', WIRELET_SOCKET: join(folder, 'control.sock') },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
        this.#onOutput();
      });
    }
    this.ended = new Promise((resolve) => {
      this.#child.on('close', (status) => {
        resolve(status);
        this.#onOutput();
      });
    });
  }

  get output(): string {
    return stripVTControlCharacters(this.#output).replaceAll('\r', '');
  }

  /** Waits for what it prints after what was waited for before. @throws when it ends first */
  async until(pattern: RegExp | string): Promise<void> {
    for (;;) {
      const news = this.output.slice(this.#seen);
      const at = typeof pattern === 'string' ? news.indexOf(pattern) : news.search(pattern);
      if (at >= 0) {
        this.#seen += at + 1;
        return;
      }
      if (this.#child.exitCode !== null) throw new Error(`it ended:\n${this.output}`);
      await new Promise<void>((resolve) => {
        this.#onOutput = resolve;
      });
    }
  }

  press(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  interrupt(): void {
    this.#child.kill('SIGINT');
  }

  /** Stops it for a moment. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  resume(): void {
    this.#child.kill('SIGCONT');
  }

  /** Ends it, whatever it does. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}
