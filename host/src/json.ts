/** JSON of what Wirelet says to programs. */

/** 64-bit values are numbers where those are exact, else digits; bytes are hexadecimal. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (item instanceof Uint8Array) return Buffer.from(item).toString('hex');
    if (typeof item !== 'bigint') return item;
    const exact =
      item <= BigInt(Number.MAX_SAFE_INTEGER) && item >= -BigInt(Number.MAX_SAFE_INTEGER);
    return exact ? Number(item) : item.toString();
  });
}
