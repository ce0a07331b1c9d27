/** Calls of the addon that run on another thread: it can't be closed before they have ended. */
export class Calls {
  readonly #running = new Set<Promise<unknown>>();

  /** Remembers `call` until it has ended, in whatever way. */
  track<T>(call: Promise<T>): Promise<T> {
    this.#running.add(call);
    const forget = () => this.#running.delete(call);
    call.then(forget, forget);
    return call;
  }

  /** Resolves when none is under way, those included that begin meanwhile. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }
}
