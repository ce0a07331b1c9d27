/** Sizes of memory, as people write them. */

export const KIB = 1024;
export const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** `35.0 MiB`. */
export function bytesText(bytes: number): string {
  if (bytes >= GIB) return `${(bytes / GIB).toFixed(1)} GiB`;
  if (bytes >= MIB) return `${(bytes / MIB).toFixed(1)} MiB`;
  return `${Math.ceil(bytes / KIB)} KiB`;
}
