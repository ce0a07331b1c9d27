import { WireletError } from '../src/error.js';

/** The coded error of a call that must fail. */
export function errorOf(call: () => unknown): WireletError {
  try {
    call();
  } catch (error) {
    if (error instanceof WireletError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}
