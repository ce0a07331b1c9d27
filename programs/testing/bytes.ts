// Bytes in network order, for the frames of tests and demos.

/** One byte. */
export function u8(value: number): Uint8Array {
  return Uint8Array.of(value & 0xff);
}

/** Two bytes, most significant first. */
export function u16(value: number): Uint8Array {
  return Uint8Array.of((value >>> 8) & 0xff, value & 0xff);
}

/** Four bytes, most significant first. */
export function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

/** The parts one behind the other. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Characters as bytes; for ASCII. */
export function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** `de ad be ef` as bytes; spaces and newlines do not count. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\s/g, '');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
}

/** `02:00:00:00:00:01` as 6 bytes. */
export function mac(text: string): Uint8Array {
  return hex(text.replace(/:/g, ''));
}

/** `10.0.0.1` as 4 bytes. */
export function ipv4Address(text: string): Uint8Array {
  return Uint8Array.from(text.split('.'), Number);
}

/** `2001:db8::1` as 16 bytes. */
export function ipv6Address(text: string): Uint8Array {
  const [front = '', back] = text.split('::');
  const groups = (half: string): number[] =>
    half === '' ? [] : half.split(':').map((group) => Number.parseInt(group, 16));
  const first = groups(front);
  const last = groups(back ?? '');
  const zeros = new Array<number>(8 - first.length - last.length).fill(0);
  return concat(...[...first, ...zeros, ...last].map(u16));
}

/** The Internet checksum (RFC 1071) over the parts, as if they were one. */
export function checksum(...parts: Uint8Array[]): number {
  const bytes = concat(...parts);
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
    sum = (sum & 0xffff) + (sum >>> 16);
  }
  return ~sum & 0xffff;
}
