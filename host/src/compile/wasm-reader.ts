/** A bounded reader of Wasm bytes: past the end, or malformed, is a coded error. */
import { WireletError } from '../error.js';

const DECODER = new TextDecoder('utf-8', { fatal: true });

export class WasmReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  offset: number;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = bytes;
    this.offset = offset;
    this.end = Math.min(end, bytes.length);
  }

  get isAtEnd(): boolean {
    return this.offset >= this.end;
  }

  u8(): number {
    const byte = this.bytes[this.offset];
    if (byte === undefined || this.offset >= this.end) throw this.malformed('it ends too early');
    this.offset++;
    return byte;
  }

  /** An unsigned LEB128 number of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.u8();
      if (shift === 28 && byte > 0x0f) throw this.malformed('a number is too long');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw this.malformed('a number is too long');
  }

  /** A signed LEB128 number of at most 64 bits; exact as far as numbers are. */
  signed(): number {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(BigInt.asIntN(Number(shift) + 7, value));
    }
    throw this.malformed('a number is too long');
  }

  skip(count: number): void {
    if (count > this.end - this.offset) throw this.malformed('it ends too early');
    this.offset += count;
  }

  take(count: number): Uint8Array {
    const start = this.offset;
    this.skip(count);
    return this.bytes.subarray(start, start + count);
  }

  name(): string {
    const bytes = this.take(this.u32());
    try {
      return DECODER.decode(bytes);
    } catch {
      throw this.malformed('a name is no UTF-8');
    }
  }

  /** A vector: a count, then that many items of at least a byte. */
  list<T>(item: (index: number) => T): T[] {
    const count = this.u32();
    if (count > this.end - this.offset) throw this.malformed('a list is longer than its section');
    return Array.from({ length: count }, (_, index) => item(index));
  }

  malformed(why: string): WireletError {
    return new WireletError('WIRELET_E_MODULE_NOT_WASM', `The module is damaged: ${why}.`, {
      details: { offset: this.offset },
    });
  }
}
