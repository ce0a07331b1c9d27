// What the build puts around an author's file. The entry file that asc compiles is exactly one of
// these four texts, with PROGRAM replaced by the import path of the author's file. They are user
// code for asc (`noUnsafe` holds), which is why the casts are here.
//
// 1. The author exports onPacket:
//
//   import { Walk } from '@wirelet/runtime/entry';
//   import { onPacket } from 'PROGRAM';
//   export { wirelet_abi_1 } from '@wirelet/runtime/entry';
//   export function onBurst(address: u32): void {
//     let packet = Walk.first(address);
//     const end = Walk.end(address);
//     do {
//       packet.verdict = onPacket(packet);
//       packet = Walk.next(packet);
//     } while (packet != end);
//   }
//
// 2. The author exports onPacket and onLoad: text 1, then
//
//   export { onLoad } from 'PROGRAM';
//
// 3. The author exports onBurst:
//
//   import { Walk } from '@wirelet/runtime/entry';
//   import { onBurst as program } from 'PROGRAM';
//   export { wirelet_abi_1 } from '@wirelet/runtime/entry';
//   export function onBurst(address: u32): void {
//     program(Walk.burst(address));
//   }
//
// 4. The author exports onBurst and onLoad: text 3, then
//
//   export { onLoad } from 'PROGRAM';
//
// A burst has one packet at least (native/abi), so the loop tests at its end only: Cranelift does
// not turn loops around, and a test at the top would be a second jump per packet.
// `transform.js`, which asconfig.json names, puts onPacket itself into the loop, whatever its size.
// What it calls is inlined or not as Binaryen thinks fit.

import { BURST_HEADER_COUNT, SIZEOF_BURST_HEADER, SIZEOF_DESCRIPTOR } from './abi';
import { Burst } from './burst';
import { Packet } from './packet';

/** The loop over a burst by descriptor addresses: a comparison and an addition per packet. */
export class Walk {
  /** The burst whose page is at `address`. */
  @inline
  static burst(address: u32): Burst {
    return changetype<Burst>(<usize>address);
  }

  /** Its first packet. */
  @inline
  static first(address: u32): Packet {
    return changetype<Packet>(<usize>(address + SIZEOF_BURST_HEADER));
  }

  /** The descriptor behind the last packet. */
  @inline
  static end(address: u32): Packet {
    const count = load<u32>(<usize>address, BURST_HEADER_COUNT);
    return changetype<Packet>(<usize>(address + SIZEOF_BURST_HEADER + count * SIZEOF_DESCRIPTOR));
  }

  /** The packet behind `packet`. */
  @inline
  static next(packet: Packet): Packet {
    return changetype<Packet>(changetype<usize>(packet) + SIZEOF_DESCRIPTOR);
  }
}

/** The ABI marker: the engine looks at its name and never calls it. */
export function wirelet_abi_1(): void {}
