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
export class Line {
  private bytes: u32 = 0;

  /** Starts the line. */
  static of(text: string): Line {
    line.bytes = 0;
    return line.text(text);
  }

  /** Adds text. */
  text(text: string): Line {
    this.bytes += Utf8.encode(text, this.end, LOG_LINE_BYTES_MAX - this.bytes);
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
    write(<u32>Utf8.address, this.bytes);
    this.bytes = 0;
  }

  private get end(): usize {
    return Utf8.address + this.bytes;
  }

  private byte(value: u32): void {
    if (this.bytes >= LOG_LINE_BYTES_MAX) return;
    store<u8>(this.end, <u8>value);
    this.bytes += 1;
  }
}

// Allocated once, when the program is initialised.
const line = new Line();
