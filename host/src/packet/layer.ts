/** What one header of a packet carries, and the addresses that packets have by default. */

/** Something that a header carries. */
export interface Layer {
  /** EtherType or IP protocol, by which the header in front announces it. */
  readonly type: number;
  /** Its bytes, given the sum over addresses that its checksum covers. */
  bytes(pseudo: Pseudo): Uint8Array;
}

/** What the IP header in front contributes to a checksum, without length and protocol. */
export type Pseudo = { readonly version: 0 } | { readonly version: 4 | 6; addresses: Uint8Array };

export const NONE: Pseudo = { version: 0 };

/** Addresses that everything here has unless told otherwise (RFC 7042, 5737 and 3849). */
export const DEFAULTS = {
  sourceMac: '02:00:00:00:00:01',
  destinationMac: '02:00:00:00:00:02',
  source4: '192.0.2.1',
  destination4: '198.51.100.2',
  source6: '2001:db8::1',
  destination6: '2001:db8::2',
} as const;

/** Bytes without meaning, announced by `type`. */
export function raw(bytes: Uint8Array, type = 0): Layer {
  return { type, bytes: () => bytes };
}
