/** What `wirelet dev` shows: lines, and below them a table that is drawn anew each second. */
import type { Stats } from '../stats/stats.js';
import type { Colors } from '../terminal/color.js';
import { canRedraw, Live } from '../terminal/live.js';
import type { Output } from '../terminal/output.js';
import { Repeats } from '../terminal/repeats.js';
import { statsText } from '../terminal/stats-text.js';

const TABLE_MS = 1000;

export class Screen {
  readonly #output: Output;
  readonly #repeats: Repeats;
  readonly #live: Live | undefined;
  #table: { timer: NodeJS.Timeout; text: string } | undefined;

  constructor(output: Output) {
    this.#output = output;
    this.#repeats = new Repeats(output.stderr, canRedraw(output.stderr, process.env));
    this.#live = canRedraw(output.stdout, process.env) ? new Live(output.stdout) : undefined;
  }

  /** A line, or several; not with --quiet. */
  line(format: (colors: Colors) => string): void {
    if (!this.#output.options.quiet) this.#print(format);
  }

  /** What is shown with --quiet too: faults and errors. */
  alarm(format: (colors: Colors) => string): void {
    this.#print(format);
  }

  /** A text that is asked for, on stdout. */
  result(text: string): void {
    this.#live?.clear();
    this.#repeats.flush();
    this.#output.result(text);
    this.#restore();
  }

  /** Shows the table of each second, or ends showing it. */
  toggleTable(stats: () => Stats): void {
    if (this.#table) {
      this.close();
      return;
    }
    if (!this.#live) {
      this.line(() => 'no table: this is no terminal that can draw one');
      return;
    }
    let before: Stats | undefined;
    const draw = () => {
      const now = stats();
      const text = statsText(now, this.#output.colors, before);
      before = now;
      if (this.#table) this.#table.text = text;
      this.#repeats.flush();
      this.#live?.draw(text);
    };
    this.#table = { timer: setInterval(draw, TABLE_MS), text: '' };
    draw();
  }

  /** Ends the table. */
  close(): void {
    clearInterval(this.#table?.timer);
    this.#table = undefined;
    this.#live?.clear();
    this.#repeats.flush();
  }

  #print(format: (colors: Colors) => string): void {
    this.#live?.clear();
    this.#repeats.print(format(this.#output.errorColors));
    this.#restore();
  }

  #restore(): void {
    if (this.#table?.text) this.#live?.draw(this.#table.text);
  }
}
