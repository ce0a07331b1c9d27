import { LOG_LINE_BYTES_MAX } from './abi';
import { Utf8 } from './utf8';
import { log as write } from './wirelet';

/**
 * A log line built piece by piece in one static buffer, so that logging about a packet allocates
 * nothing. One line at a time: `of` starts it anew, `write` sends it. Bytes past 256 are cut.
 *
 * ```ts
 * Line.of('blocked ').ipv4(ip.source).text(' port ').number(udp.sourcePort).write();
 * ```
 */
@final
@unmanaged
export class Line {
  /** Starts the line. */
  static of(text: string): Line {
    used = 0;
    // There is one line, so there is nothing to allocate: its address is that of the buffer.
    return changetype<Line>(Utf8.address).text(text);
  }

  /** Adds text. */
  text(text: string): Line {
    used += Utf8.encode(text, Utf8.address + used, LOG_LINE_BYTES_MAX - used);
    return this;
  }

  /** Adds a number. */
  number(value: u64): Line {
    let divisor: u64 = 1;
    while (value / divisor >= 10) divisor *= 10;
    for (; divisor > 0; divisor /= 10) this.byte(<u32>((value / divisor) % 10) + 48);
    return this;
  }

  /** Adds a number in hexadecimal, with leading zeros up to `digits` (1 to 16). */
  hex(value: u64, digits: u32): Line {
    for (let i = digits; i > 0; i--) {
      const digit = <u32>(value >> (((i - 1) << 2) as u64)) & 15;
      this.byte(digit < 10 ? digit + 48 : digit + 87);
    }
    return this;
  }

  /** Adds an IPv4 address, 10.0.0.1. */
  ipv4(address: u32): Line {
    this.number(address >> 24).byte(46);
    this.number((address >> 16) & 0xff).byte(46);
    this.number((address >> 8) & 0xff).byte(46);
    return this.number(address & 0xff);
  }

  /** Adds an IPv6 address in full, 8 groups of 4 digits. */
  ipv6(high: u64, low: u64): Line {
    for (let i: u64 = 0; i < 8; i++) {
      if (i > 0) this.byte(58);
      this.hex(((i < 4 ? high : low) >> ((3 - (i & 3)) << 4)) & 0xffff, 4);
    }
    return this;
  }

  /** Adds a MAC address, 02:00:00:00:00:01. */
  mac(address: u64): Line {
    for (let i: u64 = 0; i < 6; i++) {
      if (i > 0) this.byte(58);
      this.hex((address >> ((5 - i) << 3)) & 0xff, 2);
    }
    return this;
  }

  /** Sends the line to the appliance's log. */
  write(): void {
    write(<u32>Utf8.address, used);
    used = 0;
  }

  private byte(value: u32): void {
    if (used >= LOG_LINE_BYTES_MAX) return;
    store<u8>(Utf8.address + used, <u8>value);
    used += 1;
  }
}

// Bytes of the line so far.
let used: u32 = 0;
