/** Packets that programs punt to the host, while somebody listens. */
import type { Events } from './events.js';
import type { NativeAppliance } from './native.js';

/** Between two looks while packets come: 256 of an lcore wait, no more. */
const POLL_MS = 1;

export class Punts {
  readonly #native: Pick<NativeAppliance, 'listenToPunts' | 'punted'>;
  readonly #events: Events;
  /** The next look, while packets come. */
  #soon: NodeJS.Timeout | undefined;
  #ended = false;

  constructor(native: Pick<NativeAppliance, 'listenToPunts' | 'punted'>, events: Events) {
    this.#native = native;
    this.#events = events;
  }

  /** Listeners have come or gone. */
  listen(): void {
    if (!this.#ended) this.#native.listenToPunts(this.#events.listeners.has('punt'));
  }

  /** Gives listeners what waits. */
  take(): void {
    if (this.#ended || !this.#events.listeners.has('punt')) return;
    const punted = this.#native.punted();
    this.#events.takePunted(punted);
    if (punted.length === 0) return;
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.take();
    }, POLL_MS);
  }

  /** The appliance has ended, and what it left was taken. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#soon);
  }
}
