import { NAME_BYTES_MAX } from './abi';

/**
 * Text for the engine, which wants UTF-8, from AssemblyScript's UTF-16: one static buffer, so that
 * nothing is allocated. The next `encode` overwrites it.
 */
export class Utf8 {
  /** Address of the buffer. */
  @inline
  static get address(): usize {
    return buffer;
  }

  /**
   * Writes `text` to `at` and returns the bytes written, at most `bytesMax`; the last character is
   * whole. A surrogate without its partner becomes U+FFFD (Unicode 15, 3.9).
   */
  static encode(text: string, at: usize, bytesMax: u32): u32 {
    const units = text.length;
    let written: u32 = 0;
    for (let i = 0; i < units; i++) {
      let point = <u32>text.charCodeAt(i);
      if ((point & 0xf800) == 0xd800) {
        const next = i + 1 < units ? <u32>text.charCodeAt(i + 1) : 0;
        if (point < 0xdc00 && (next & 0xfc00) == 0xdc00) {
          point = 0x10000 + ((point & 0x3ff) << 10) + (next & 0x3ff);
          i++;
        } else {
          point = 0xfffd;
        }
      }
      const size: u32 = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
      if (written + size > bytesMax) break;
      put(at + written, point, size);
      written += size;
    }
    return written;
  }

  /** Whether `text`, in UTF-8, equals the bytes at `address`. For names: 64 bytes at most. */
  static equals(text: string, address: usize, bytes: u32): bool {
    const scratch = Utf8.address;
    // One byte more than a name may have, so that a longer text is not equal to its beginning.
    if (Utf8.encode(text, scratch, NAME_BYTES_MAX + 4) != bytes) return false;
    for (let i: u32 = 0; i < bytes; i++) {
      if (load<u8>(scratch + i) != load<u8>(address + i)) return false;
    }
    return true;
  }
}

// A log line, or a name and its excess. Once: each `memory.data` in the program is a new buffer.
const buffer: usize = memory.data(256);

function put(at: usize, point: u32, size: u32): void {
  if (size == 1) {
    store<u8>(at, <u8>point);
  } else if (size == 2) {
    store<u8>(at, <u8>(0xc0 | (point >> 6)));
    store<u8>(at, <u8>(0x80 | (point & 0x3f)), 1);
  } else if (size == 3) {
    store<u8>(at, <u8>(0xe0 | (point >> 12)));
    store<u8>(at, <u8>(0x80 | ((point >> 6) & 0x3f)), 1);
    store<u8>(at, <u8>(0x80 | (point & 0x3f)), 2);
  } else {
    store<u8>(at, <u8>(0xf0 | (point >> 18)));
    store<u8>(at, <u8>(0x80 | ((point >> 12) & 0x3f)), 1);
    store<u8>(at, <u8>(0x80 | ((point >> 6) & 0x3f)), 2);
    store<u8>(at, <u8>(0x80 | (point & 0x3f)), 3);
  }
}
