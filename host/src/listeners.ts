/** Listeners whose failures stay their own: one that throws is reported, the others are called. */
import { asWireletError, type WireletError } from './error.js';

/** What a listener is for each event; `error` is where failures of listeners go. */
interface WithError {
  error: WireletError;
}

type Listener = (event: never) => unknown;

export class Listeners<Events extends WithError> {
  readonly #byName = new Map<keyof Events, Set<Listener>>();

  add<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => unknown): void {
    const set = this.#byName.get(name) ?? new Set();
    set.add(listener);
    this.#byName.set(name, set);
  }

  remove<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => unknown): void {
    this.#byName.get(name)?.delete(listener);
  }

  has(name: keyof Events): boolean {
    return (this.#byName.get(name)?.size ?? 0) > 0;
  }

  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    const listeners = [...(this.#byName.get(name) ?? [])] as ((event: Events[Name]) => unknown)[];
    if (name === 'error' && listeners.length === 0) warn(event);
    for (const listener of listeners) {
      const failed = (thrown: unknown) => this.#failed(name, thrown);
      try {
        const result = listener(event);
        if (result instanceof Promise) result.catch(failed);
      } catch (thrown) {
        failed(thrown);
      }
    }
  }

  #failed(name: keyof Events, thrown: unknown): void {
    const error = asWireletError(thrown);
    // A listener for errors that throws gets no second chance.
    if (name === 'error') warn(error);
    else this.emit('error', error as Events['error']);
  }
}

/** Nobody listens: say it where Node says such things. */
function warn(event: unknown): void {
  process.emitWarning(event instanceof Error ? event : String(event));
}
