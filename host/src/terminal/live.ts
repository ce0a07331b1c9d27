/** A block of text that is drawn again in its place, on terminals that can. */
import type { Stream } from './output.js';

/** Whether `stream` can move its cursor. */
export function canRedraw(stream: Stream, env: Readonly<Record<string, string | undefined>>) {
  return stream.isTTY === true && env.TERM !== 'dumb';
}

export class Live {
  readonly #stream: Stream;
  #lines = 0;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  /** Draws `text` over what it drew before. */
  draw(text: string): void {
    this.clear();
    this.#stream.write(`${text}\n`);
    this.#lines = text.split('\n').length;
  }

  /** Takes away what it drew. */
  clear(): void {
    if (this.#lines > 0) this.#stream.write(`\u001b[${this.#lines}A\u001b[J`);
    this.#lines = 0;
  }
}
