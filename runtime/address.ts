/**
 * Addresses from text, for settings. Everything allocates: use it while loading.
 *
 * ```ts
 * const gateway = Address.ipv4(Settings.string('gateway', '10.0.0.1'));
 * ```
 */
export class Address {
  /** `10.0.0.1` as a number, 0x0a000001. Text that is no address is a fault that quotes it. */
  static ipv4(text: string): u32 {
    const parts = text.split('.');
    if (parts.length != 4) refuse(text, 'an IPv4 address');
    let address: u32 = 0;
    for (let i = 0; i < 4; i++) {
      address = (address << 8) | digits(parts[i], 10, 3, 255, text, 'an IPv4 address');
    }
    return address;
  }

  /** `02:00:00:00:00:01` as a 48-bit number; `-` may stand for `:`. A fault as {@link ipv4}. */
  static mac(text: string): u64 {
    const parts = text.split(text.includes('-') ? '-' : ':');
    if (parts.length != 6) refuse(text, 'a MAC address');
    let address: u64 = 0;
    for (let i = 0; i < 6; i++) {
      address = (address << 8) | digits(parts[i], 16, 2, 255, text, 'a MAC address');
    }
    return address;
  }

  /**
   * `2001:db8::1` (RFC 4291, 2.2) as two numbers: upper and lower 64 bits. A fault as {@link ipv4};
   * an IPv4 address in its last 32 bits is not understood.
   */
  static ipv6(text: string): StaticArray<u64> {
    const halves = text.split('::');
    const front = groups(halves[0]);
    const back = halves.length == 2 ? groups(halves[1]) : groups('');
    const missing = 8 - front.length - back.length;
    if (halves.length > 2 || (halves.length == 2 ? missing < 1 : missing != 0)) {
      refuse(text, 'an IPv6 address');
    }
    const address = new StaticArray<u64>(2);
    for (let i = 0; i < 8; i++) {
      let group = '0';
      if (i < front.length) group = front[i];
      else if (i >= front.length + missing) group = back[i - front.length - missing];
      const value = digits(group, 16, 4, 0xffff, text, 'an IPv6 address');
      address[i >> 2] = (address[i >> 2] << 16) | value;
    }
    return address;
  }
}

function groups(text: string): string[] {
  return text.length == 0 ? new Array<string>() : text.split(':');
}

function digits(part: string, radix: i32, most: i32, max: u32, text: string, what: string): u32 {
  if (part.length == 0 || part.length > most) refuse(text, what);
  let value: u32 = 0;
  for (let i = 0; i < part.length; i++) {
    const unit = part.charCodeAt(i);
    let digit = unit - 48;
    if (digit < 0 || digit > 9) {
      const letter = unit | 32;
      digit = letter >= 97 && letter <= 102 ? letter - 87 : 99;
    }
    if (digit >= radix) refuse(text, what);
    value = value * radix + digit;
  }
  if (value > max) refuse(text, what);
  return value;
}

function refuse(text: string, what: string): void {
  throw new TypeError('"' + text + '" is not ' + what);
}
