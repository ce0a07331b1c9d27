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

/** Kinds of what follows an opcode. */
type Immediates = 'none' | 'u32' | 'signed' | 'memory' | 'zero' | 'labels' | 'simd' | number;

/** Ranges of opcodes, both ends included, with what follows them; a number is bytes. */
const IMMEDIATES: readonly (readonly [number, number, Immediates])[] = [
  [0x00, 0x01, 'none'], // unreachable, nop
  [0x02, 0x04, 'signed'], // block, loop, if
  [0x05, 0x05, 'none'], // else
  [0x0b, 0x0b, 'none'], // end
  [0x0c, 0x0d, 'u32'], // br, br_if
  [0x0e, 0x0e, 'labels'], // br_table
  [0x0f, 0x0f, 'none'], // return
  [0x1a, 0x1b, 'none'], // drop, select
  [0x20, 0x24, 'u32'], // locals and globals
  [0x28, 0x3e, 'memory'], // loads and stores
  [0x3f, 0x40, 'zero'], // memory.size, memory.grow
  [0x41, 0x42, 'signed'], // i32.const, i64.const
  [0x43, 0x43, 4], // f32.const
  [0x44, 0x44, 8], // f64.const
  [0x45, 0xc4, 'none'], // comparisons, arithmetic, conversions, sign extension
  [0xfd, 0xfd, 'simd'],
];

/** The same for the opcodes behind 0xfd; a lane's number follows some memory arguments. */
const SIMD_IMMEDIATES: readonly (readonly [number, number, Immediates | 'memory and lane'])[] = [
  [0x00, 0x0b, 'memory'], // loads and stores
  [0x0c, 0x0d, 16], // v128.const, i8x16.shuffle
  [0x0e, 0x14, 'none'],
  [0x15, 0x22, 1], // lanes
  [0x23, 0x53, 'none'],
  [0x54, 0x5b, 'memory and lane'],
  [0x5c, 0x5d, 'memory'], // v128.load32_zero, v128.load64_zero
  [0x5e, 0xff, 'none'],
];
const SATURATING = 0xfc;
const SATURATING_MAX = 7;

function skipImmediates(reader: WasmReader, opcode: number, offset: number): void {
  if (opcode === SATURATING && reader.u32() <= SATURATING_MAX) return;
  const kind = IMMEDIATES.find(([first, last]) => opcode >= first && opcode <= last)?.[2];
  if (kind === undefined) throw notAllowed(offset, `opcode 0x${opcode.toString(16)}`);
  if (kind === 'simd') skipSimd(reader, offset);
  else skip(reader, kind, offset);
}

function skipSimd(reader: WasmReader, offset: number): void {
  const opcode = reader.u32();
  const kind = SIMD_IMMEDIATES.find(([first, last]) => opcode >= first && opcode <= last)?.[2];
  if (kind === undefined) throw notAllowed(offset, 'relaxed SIMD');
  skip(reader, kind === 'memory and lane' ? 'memory' : kind, offset);
  if (kind === 'memory and lane') reader.skip(1);
}

function skip(reader: WasmReader, kind: Immediates, offset: number): void {
  if (typeof kind === 'number') reader.skip(kind);
  else if (kind === 'u32') reader.u32();
  else if (kind === 'signed') reader.signed();
  else if (kind === 'memory') skipMemoryArgument(reader);
  else if (kind === 'zero' && reader.u8() !== 0) throw notAllowed(offset, 'a second memory');
  else if (kind === 'labels') {
    reader.list(() => reader.u32());
    reader.u32();
  }
}

function skipMemoryArgument(reader: WasmReader): void {
  reader.u32(); // alignment
  reader.u32(); // offset
}

function notAllowed(offset: number, what: string): WireletError {
  const message = `The module uses ${what} at offset 0x${offset.toString(16)}.`;
  return new WireletError('WIRELET_E_MODULE_FEATURE', message, { details: { offset } });
}
