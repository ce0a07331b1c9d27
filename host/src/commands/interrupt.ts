/** ^C: once to end in good order, twice to end at once. */

const EXIT_INTERRUPTED = 130;
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

export class Interrupt {
  /** Resolves at the first signal. */
  readonly requested: Promise<void>;
  #received = false;
  readonly #onSignal: () => void;

  /** `onFirst` says what happens now. */
  constructor(onFirst: () => void) {
    let resolve: () => void = () => {};
    this.requested = new Promise((done) => {
      resolve = done;
    });
    this.#onSignal = () => {
      if (this.#received) process.exit(EXIT_INTERRUPTED);
      this.#received = true;
      onFirst();
      resolve();
    };
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
  }

  /** As a signal does it: for terminals that send ^C as a key. */
  request(): void {
    this.#onSignal();
  }

  get received(): boolean {
    return this.#received;
  }

  /** The exit status: 130 after a signal. */
  status(otherwise: number): number {
    return this.#received ? EXIT_INTERRUPTED : otherwise;
  }

  release(): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  }
}
