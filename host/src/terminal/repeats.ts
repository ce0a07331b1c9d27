/** Lines of which the same may come many times in a row: it is shown once, with a count. */
import type { Stream } from './output.js';

const TOLD_MS = 1000;

export class Repeats {
  readonly #stream: Stream;
  readonly #redraws: boolean;
  #last = '';
  #count = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `redraws`: the stream is a terminal, where the count is written over itself. */
  constructor(stream: Stream, redraws: boolean) {
    this.#stream = stream;
    this.#redraws = redraws;
  }

  print(text: string): void {
    if (text === this.#last) {
      this.#repeat();
      return;
    }
    this.flush();
    this.#last = text;
    this.#stream.write(`${text}\n`);
  }

  /** Says what was not said yet, and forgets the last line: something else was written. */
  flush(): void {
    this.#tell();
    this.#last = '';
    this.#count = 0;
  }

  #repeat(): void {
    this.#count++;
    if (this.#redraws && fitsOneLine(this.#last, this.#stream)) {
      this.#stream.write(`\u001b[1A\u001b[2K${this.#last} (×${this.#count + 1})\n`);
    } else {
      this.#timer ??= setTimeout(() => this.#tell(), TOLD_MS).unref();
    }
  }

  #tell(): void {
    clearTimeout(this.#timer);
    if (this.#timer === undefined) return;
    this.#timer = undefined;
    const times = this.#count === 1 ? 'once' : `${this.#count} times`;
    this.#stream.write(`  (the same ${times} more)\n`);
    this.#count = 0;
  }
}

/** Room for the count included; what is wrapped would be cleared in part only. */
function fitsOneLine(text: string, { columns = 80 }: Stream): boolean {
  return !text.includes('\n') && text.length + 12 < columns;
}
