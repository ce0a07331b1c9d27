/** Single keys of a terminal. */

/** The part of `process.stdin` that is used; tests give their own. */
export interface KeyInput {
  isTTY?: boolean;
  setRawMode(isRaw: boolean): unknown;
  on(event: 'data', listener: (data: Buffer) => void): unknown;
  off(event: 'data', listener: (data: Buffer) => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

/** What the terminal itself does with ^C until keys come one by one. */
export const CONTROL_C = '\u0003';

export class Keys {
  readonly #input: KeyInput;
  readonly #onData: (data: Buffer) => void;

  /** Calls what stands under each key that is pressed; other keys do nothing. */
  constructor(input: KeyInput, actions: Readonly<Record<string, () => void>>) {
    this.#input = input;
    this.#onData = (data) => {
      for (const key of data.toString('utf8')) if (Object.hasOwn(actions, key)) actions[key]?.();
    };
    input.setRawMode(true);
    input.on('data', this.#onData);
    input.resume();
  }

  /** Gives the terminal back as it was. */
  close(): void {
    this.#input.off('data', this.#onData);
    this.#input.setRawMode(false);
    this.#input.pause();
  }
}
