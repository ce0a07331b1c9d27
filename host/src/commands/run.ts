import { WireletError } from '../error.js';

export async function run(): Promise<number | undefined> {
  throw new WireletError('WIRELET_E_INTERNAL', 'not there yet');
}
