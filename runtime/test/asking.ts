// How tests talk to programs with tables: a packet is a question, what comes back the answer.

import type { Guest } from './guest.js';

/** Operation, key and amount of a step; see the programs in hash/ and lru/. */
export type Step = [operation: number, id: number, amount: bigint];

export const GET = 0;
export const SET = 1;
export const DELETE = 2;
export const HAS = 3;
export const ADD = 4;
export const COUNT = 5;
/** Answer to a GET that finds nothing. */
export const NONE = 0xffff_ffff_ffff_ffffn;

const BYTES = 60;

/** A packet with these bytes behind its addresses. */
export function question(fill: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  fill(new DataView(bytes.buffer));
  return bytes;
}

/** What the program answers to each step on its table number `table`. */
export function ask(guest: Guest, table: number, steps: readonly Step[]): bigint[] {
  const packets = steps.map(([operation, id, amount]) =>
    question((view) => {
      view.setUint8(14, table);
      view.setUint8(15, operation);
      view.setUint32(16, id);
      view.setBigUint64(20, amount);
    }),
  );
  return guest
    .run(packets)
    .map(({ bytes }) => new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(32));
}

const WORD = 0x9e37_79b9_7f4a_7c15n;
const LAST = 0xd6e8_feb8_6659_fd93n;
const low64 = (value: bigint): bigint => BigInt.asUintN(64, value);

/** native/abi/src/table.rs's hash of a key's words. */
export function hashOf(seed: bigint, words: readonly bigint[]): bigint {
  let hash = seed;
  for (const word of words) {
    const mixed = hash ^ word;
    hash = low64(mixed * WORD + (mixed & 0xffff_ffffn) * (mixed >> 32n));
    hash ^= hash >> 32n;
  }
  hash = low64(hash * LAST);
  return hash ^ (hash >> 29n);
}
