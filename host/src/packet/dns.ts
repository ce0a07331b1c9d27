import { ascii, concat, u8, u16 } from './bytes.js';

export interface DnsFields {
  id?: number;
  /** The 16 bits of QR, opcode and flags; 0x0100 is a query that wants recursion. */
  flags?: number;
  questions?: number;
  /** Record type; 1 is A, 28 is AAAA. */
  type?: number;
}

/** A name in wire form (RFC 1035, 3.1): `a.example` becomes 1 a 7 example 0. */
export function dnsName(name: string): Uint8Array {
  const labels = name === '' ? [] : name.split('.');
  return concat(...labels.map((label) => concat(u8(label.length), ascii(label))), u8(0));
}

/** A DNS message with one question (RFC 1035, 4.1). */
export function dnsQuery(name: string, fields: DnsFields = {}): Uint8Array {
  return dnsMessage(concat(dnsName(name), u16(fields.type ?? 1), u16(1)), fields);
}

/** A DNS message with any bytes behind its header. */
export function dnsMessage(body: Uint8Array, fields: DnsFields = {}): Uint8Array {
  const counts = [fields.questions ?? 1, 0, 0, 0];
  return concat(
    u16(fields.id ?? 0x1234),
    u16(fields.flags ?? 0x0100),
    ...counts.map((count) => u16(count)),
    body,
  );
}
