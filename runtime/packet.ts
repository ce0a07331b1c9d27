import {
  DESCRIPTOR_DATA,
  DESCRIPTOR_EGRESS,
  DESCRIPTOR_FLAGS,
  DESCRIPTOR_HASH,
  DESCRIPTOR_HEADROOM,
  DESCRIPTOR_LENGTH,
  DESCRIPTOR_MARK,
  DESCRIPTOR_PORT,
  DESCRIPTOR_TAILROOM,
  DESCRIPTOR_TIMESTAMP_NS,
  DESCRIPTOR_VERDICT,
  EGRESS_FLOOD,
  PACKET_BYTES_MIN,
  VERDICT_UNDECIDED,
} from './abi';
import { Network } from './network';
import { Verdict } from './verdict';

/**
 * One packet of a burst: a view of its 32-byte descriptor, which nothing copies or allocates.
 * Offsets are bytes from the packet's first byte (its Ethernet header); numbers in the packet are
 * read and written in network order. A read or write that does not lie inside the packet ends the
 * burst with a fault, so check with {@link has}, or use the header views.
 *
 * A packet always has 14 bytes at least, its Ethernet header: devices drop what is shorter, and
 * {@link pull} and {@link trim} refuse to go below. It is valid until `onPacket` or `onBurst`
 * returns.
 *
 * ```ts
 * if (packet.has(12, 2) && packet.readU16(12) == 0x0806) return Verdict.Punt;
 * ```
 */
@final
@unmanaged
export class Packet {
  /** Guest address of the first byte, for views; programs have no use for it. */
  @inline
  get address(): usize {
    return load<u32>(changetype<usize>(this), DESCRIPTOR_DATA);
  }

  /** Bytes of the packet, without the frame check sequence. */
  @inline
  get length(): u32 {
    return load<u16>(changetype<usize>(this), DESCRIPTOR_LENGTH);
  }

  /** Bytes that {@link push} can still put in front. */
  @inline
  get headroom(): u32 {
    return load<u16>(changetype<usize>(this), DESCRIPTOR_HEADROOM);
  }

  /** Bytes that {@link extend} can still add at the end. */
  @inline
  get tailroom(): u32 {
    return load<u16>(changetype<usize>(this), DESCRIPTOR_TAILROOM);
  }

  /** Number of the port it came in by. */
  @inline
  get port(): u32 {
    return load<u16>(changetype<usize>(this), DESCRIPTOR_PORT);
  }

  /** Bits of `FLAG_*` (`abi.ts`): what the device has already verified or computed. */
  @inline
  get flags(): u32 {
    return load<u8>(changetype<usize>(this), DESCRIPTOR_FLAGS);
  }

  /** Flow hash of the device, 0 when nobody computed one. */
  @inline
  get hash(): u32 {
    return load<u32>(changetype<usize>(this), DESCRIPTOR_HASH);
  }

  /** 32 bits that travel with the packet from program to program; 0 at first. */
  @inline
  get mark(): u32 {
    return load<u32>(changetype<usize>(this), DESCRIPTOR_MARK);
  }

  set mark(value: u32) {
    store<u32>(changetype<usize>(this), value, DESCRIPTOR_MARK);
  }

  /** When the device received it: nanoseconds by the device's clock. */
  @inline
  get timestampNs(): u64 {
    return load<u64>(changetype<usize>(this), DESCRIPTOR_TIMESTAMP_NS);
  }

  /** The decision so far; meaningless until {@link decided}. `onPacket` returns it instead. */
  @inline
  get verdict(): Verdict {
    return load<u8>(changetype<usize>(this), DESCRIPTOR_VERDICT) as i32 as Verdict;
  }

  set verdict(value: Verdict) {
    store<u8>(changetype<usize>(this), <u8>(<i32>value), DESCRIPTOR_VERDICT);
  }

  /** Whether this program has given a verdict: the engine presets *undecided*. */
  @inline
  get decided(): bool {
    return load<u8>(changetype<usize>(this), DESCRIPTOR_VERDICT) != <u8>VERDICT_UNDECIDED;
  }

  /**
   * Sends it out by port number `port`: `return packet.redirect(2)`. The engine refuses, as a
   * fault, a port that does not exist or that the program may not use.
   */
  @inline
  redirect(port: u32): Verdict {
    store<u16>(changetype<usize>(this), <u16>port, DESCRIPTOR_EGRESS);
    return Verdict.Redirect;
  }

  /**
   * Sends it out by every port that the program may redirect to, but the port it came in by:
   * `return packet.flood()`. Every port but one gets a copy, which the engine makes afterwards.
   * With no such port it is a drop.
   */
  @inline
  flood(): Verdict {
    store<u16>(changetype<usize>(this), <u16>EGRESS_FLOOD, DESCRIPTOR_EGRESS);
    return Verdict.Redirect;
  }

  /** Whether `bytes` bytes from `offset` on lie inside the packet. One comparison. */
  @inline
  has(offset: u32, bytes: u32): bool {
    // 64 bits cannot wrap around, so one comparison does for offset and size together.
    return <u64>offset + <u64>bytes <= <u64>this.length;
  }

  @inline
  private at(offset: u32, bytes: u32): usize {
    if (!this.has(offset, bytes)) outside();
    return this.address + <usize>offset;
  }

  /** The byte at `offset`. */
  @inline
  readU8(offset: u32): u8 {
    return load<u8>(this.at(offset, 1));
  }

  /** The 2 bytes at `offset`. */
  @inline
  readU16(offset: u32): u16 {
    return Network.swap16(load<u16>(this.at(offset, 2)));
  }

  /** The 4 bytes at `offset`. */
  @inline
  readU32(offset: u32): u32 {
    return Network.swap32(load<u32>(this.at(offset, 4)));
  }

  /** The 8 bytes at `offset`. */
  @inline
  readU64(offset: u32): u64 {
    return Network.swap64(load<u64>(this.at(offset, 8)));
  }

  /** Sets the byte at `offset`. */
  @inline
  writeU8(offset: u32, value: u8): void {
    store<u8>(this.at(offset, 1), value);
  }

  /** Sets the 2 bytes at `offset`. */
  @inline
  writeU16(offset: u32, value: u16): void {
    store<u16>(this.at(offset, 2), Network.swap16(value));
  }

  /** Sets the 4 bytes at `offset`. */
  @inline
  writeU32(offset: u32, value: u32): void {
    store<u32>(this.at(offset, 4), Network.swap32(value));
  }

  /** Sets the 8 bytes at `offset`. */
  @inline
  writeU64(offset: u32, value: u64): void {
    store<u64>(this.at(offset, 8), Network.swap64(value));
  }

  /**
   * Makes room for `bytes` bytes in front, from the headroom: offset 0 is then the first new byte.
   * The new bytes hold anything until written. Returns false, and changes nothing, when the
   * headroom is smaller. Views keep pointing at the bytes they pointed at.
   *
   * ```ts
   * if (!packet.push(4)) return Verdict.Drop;
   * ```
   */
  push(bytes: u32): bool {
    const headroom = this.headroom;
    const length = this.length;
    if (bytes > headroom) return false;
    this.place(<u32>this.address - bytes, length + bytes);
    store<u16>(changetype<usize>(this), <u16>(headroom - bytes), DESCRIPTOR_HEADROOM);
    return true;
  }

  /** Removes `bytes` bytes in front. False, and unchanged, when fewer than 14 would stay. */
  pull(bytes: u32): bool {
    const length = this.length;
    if (<u64>bytes + PACKET_BYTES_MIN > <u64>length) return false;
    store<u16>(changetype<usize>(this), <u16>(this.headroom + bytes), DESCRIPTOR_HEADROOM);
    this.place(<u32>this.address + bytes, length - bytes);
    return true;
  }

  /** Adds `bytes` bytes at the end, holding anything. False when the tailroom is smaller. */
  extend(bytes: u32): bool {
    const tailroom = this.tailroom;
    const length = this.length;
    if (bytes > tailroom) return false;
    store<u16>(changetype<usize>(this), <u16>(tailroom - bytes), DESCRIPTOR_TAILROOM);
    this.place(<u32>this.address, length + bytes);
    return true;
  }

  /** Removes `bytes` bytes at the end. False, and unchanged, when fewer than 14 would stay. */
  trim(bytes: u32): bool {
    const length = this.length;
    if (<u64>bytes + PACKET_BYTES_MIN > <u64>length) return false;
    store<u16>(changetype<usize>(this), <u16>(this.tailroom + bytes), DESCRIPTOR_TAILROOM);
    this.place(<u32>this.address, length - bytes);
    return true;
  }

  // Frames have 16 KiB at most (native/abi, limits), so a length cannot leave its 16 bits.
  @inline
  private place(data: u32, length: u32): void {
    store<u32>(changetype<usize>(this), data, DESCRIPTOR_DATA);
    store<u16>(changetype<usize>(this), <u16>length, DESCRIPTOR_LENGTH);
  }
}

function outside(): void {
  throw new RangeError('read or write outside the packet');
}
