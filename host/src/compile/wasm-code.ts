/**
 * A walk over a function's instructions, which are of the allowed features or an error: the MVP,
 * sign extension, saturating conversions, multi-value, SIMD. Opcodes: WebAssembly 2.0, § 5.4.
 */
import { WireletError } from '../error.js';
import type { WasmBody, WasmModule } from './wasm-module.js';
import { WasmReader } from './wasm-reader.js';

export interface Call {
  /** Of the instruction, in the module. */
  offset: number;
  /** A function's index, or with `call_indirect` a type's. */
  target: number;
  indirect: boolean;
}

const CALL = 0x10;
const CALL_INDIRECT = 0x11;

/** The calls that a body makes. @throws WIRELET_E_MODULE_FEATURE, WIRELET_E_MODULE_NOT_WASM */
export function callsOf(module: WasmModule, body: WasmBody): Call[] {
  const calls: Call[] = [];
  const reader = new WasmReader(module.bytes, body.start, body.end);
  reader.list(() => {
    reader.u32();
    reader.u8();
  });
  while (!reader.isAtEnd) {
    const offset = reader.offset;
    const opcode = reader.u8();
    if (opcode === CALL) {
      calls.push({ offset, target: reader.u32(), indirect: false });
    } else if (opcode === CALL_INDIRECT) {
      calls.push({ offset, target: reader.u32(), indirect: true });
      if (reader.u8() !== 0) throw notAllowed(offset, 'a second table');
    } else {
      skipImmediates(reader, opcode, offset);
    }
  }
  return calls;
}

/** What follows an opcode, by ranges of opcodes that are alike. */
function skipImmediates(reader: WasmReader, opcode: number, offset: number): void {
  if (opcode <= 0x01 || opcode === 0x05 || opcode === 0x0b || opcode === 0x0f) return;
  if (opcode >= 0x02 && opcode <= 0x04) return void reader.signed(); // block, loop, if
  if (opcode === 0x0c || opcode === 0x0d) return void reader.u32(); // br, br_if
  if (opcode === 0x0e) {
    reader.list(() => reader.u32());
    return void reader.u32();
  }
  if (opcode === 0x1a || opcode === 0x1b) return; // drop, select
  if (opcode >= 0x20 && opcode <= 0x24) return void reader.u32(); // locals and globals
  if (opcode >= 0x28 && opcode <= 0x3e) return skipMemoryArgument(reader); // loads, stores
  if (opcode === 0x3f || opcode === 0x40) {
    if (reader.u8() !== 0) throw notAllowed(offset, 'a second memory');
    return;
  }
  if (opcode === 0x41 || opcode === 0x42) return void reader.signed(); // i32.const, i64.const
  if (opcode === 0x43) return reader.skip(4); // f32.const
  if (opcode === 0x44) return reader.skip(8); // f64.const
  if (opcode >= 0x45 && opcode <= 0xc4) return; // comparisons, arithmetic, conversions
  if (opcode === 0xfc && reader.u32() <= 7) return; // saturating conversions
  if (opcode === 0xfd) return skipSimd(reader, offset);
  throw notAllowed(offset, `opcode 0x${opcode.toString(16)}`);
}

function skipSimd(reader: WasmReader, offset: number): void {
  const opcode = reader.u32();
  if (opcode <= 0x0b || opcode === 0x5c || opcode === 0x5d) return skipMemoryArgument(reader);
  if (opcode === 0x0c || opcode === 0x0d) return reader.skip(16); // v128.const, i8x16.shuffle
  if (opcode >= 0x15 && opcode <= 0x22) return reader.skip(1); // lanes
  if (opcode >= 0x54 && opcode <= 0x5b) {
    skipMemoryArgument(reader);
    return reader.skip(1);
  }
  if (opcode <= 0xff) return;
  throw notAllowed(offset, 'relaxed SIMD');
}

function skipMemoryArgument(reader: WasmReader): void {
  reader.u32(); // alignment
  reader.u32(); // offset
}

function notAllowed(offset: number, what: string): WireletError {
  const message = `The module uses ${what} at offset 0x${offset.toString(16)}.`;
  return new WireletError('WIRELET_E_MODULE_FEATURE', message, { details: { offset } });
}
