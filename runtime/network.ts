/**
 * Network byte order (RFC 1700, big endian) on a little-endian machine.
 *
 * WebAssembly has no byte swap. Cranelift turns exactly the shapes of `swap32` and `swap64` into
 * one BSWAP instruction (cranelift-codegen `opts/bitops.isle`), so do not simplify them. There is
 * no such shape for 16 bits: comparing the loaded value with a swapped constant is free, as
 * `hasType(EtherType.Ipv4)` and its like do.
 */
export class Network {
  /** Two bytes swapped; costs four instructions, nothing for a constant. */
  @inline
  static swap16(x: u16): u16 {
    return (((<u32>x) << 8) | (<u32>x >> 8)) as u16;
  }

  /** Four bytes reversed: one instruction. */
  @inline
  static swap32(x: u32): u32 {
    return (x << 24) | ((x & 0xff00) << 8) | (((x >> 8) & 0xff00) | (x >> 24));
  }

  /** Eight bytes reversed: one instruction. */
  @inline
  static swap64(x: u64): u64 {
    return (
      (x << 56) |
      ((x & 0xff00) << 40) |
      (((x & 0xff_0000) << 24) | ((x & 0xff00_0000) << 8)) |
      (((x >> 8) & 0xff00_0000) | ((x >> 24) & 0xff_0000) | (((x >> 40) & 0xff00) | (x >> 56)))
    );
  }
}
