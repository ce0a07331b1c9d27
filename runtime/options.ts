/**
 * The options of IPv4 and TCP headers, which have one format (RFC 791, 3.1; RFC 9293, 3.1): kind 0
 * ends the list, kind 1 is a byte of padding, any other is kind, length of the whole, content.
 */
export class Options {
  /**
   * Bytes from `header` to the first whole option of this kind between `first` and `end`, or 0: it
   * is not there, or the list is malformed before it. At most 40 steps.
   */
  static find(header: usize, first: u32, end: u32, kind: u32): u32 {
    let at = first;
    while (at < end) {
      const found: u32 = load<u8>(header + at);
      if (found == 0) return 0;
      if (found == 1) {
        at += 1;
        continue;
      }
      if (at + 1 >= end) return 0;
      const bytes: u32 = load<u8>(header + at, 1);
      if (bytes < 2 || at + bytes > end) return 0;
      if (found == kind) return at;
      at += bytes;
    }
    return 0;
  }
}
