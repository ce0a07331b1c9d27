/** Bytes in network order, and addresses from text: what packets are made of. */

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

/** `de ad be ef` as bytes; white space does not count. @throws TypeError for anything else */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\s/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new TypeError(`"${text}" is no list of hex bytes`);
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(i * 2, i * 2 + 2), 16),
  );
}

/** `02:00:00:00:00:01` as 6 bytes. @throws TypeError for anything else */
export function mac(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw new TypeError(`"${text}" is no MAC address, such as 02:00:00:00:00:01`);
  }
  return hex(text.replaceAll(':', ''));
}

/** `10.0.0.1` as 4 bytes. @throws TypeError for anything else */
export function ipv4Address(text: string): Uint8Array {
  const parts = text.split('.');
  const isByte = (part: string): boolean => /^\d{1,3}$/.test(part) && Number(part) <= 255;
  if (parts.length === 4 && parts.every(isByte)) return Uint8Array.from(parts, Number);
  throw new TypeError(`"${text}" is no IPv4 address, such as 192.0.2.1`);
}

/** `2001:db8::1` as 16 bytes. @throws TypeError for anything else */
export function ipv6Address(text: string): Uint8Array {
  const halves = text.split('::');
  const [first = [], last = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - first.length - last.length;
  const isWhole = halves.length === 2 ? missing > 0 : halves.length === 1 && missing === 0;
  const groups = [...first, ...new Array<string>(Math.max(0, missing)).fill('0'), ...last];
  if (isWhole && groups.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) {
    return concat(...groups.map((group) => u16(Number.parseInt(group, 16))));
  }
  throw new TypeError(`"${text}" is no IPv6 address, such as 2001:db8::1`);
}

/** 6 bytes as `02:00:00:00:00:01`. */
export function macText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** 4 bytes as `10.0.0.1`, 16 as `2001:db8::1` (RFC 5952). */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[i * 2] ?? 0) << 8) | (bytes[i * 2 + 1] ?? 0)).toString(16),
  );
  // The longest run of zeros, the first of equals; a single one is written out.
  let [start, length] = [0, 1];
  for (let from = 0; from < 8; from++) {
    let end = from;
    while (groups[end] === '0') end++;
    if (end - from > length) [start, length] = [from, end - from];
  }
  if (length === 1) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
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
