import { readFileSync } from 'node:fs';

const NAMES = [
  'BURST_HEADER_GENERATION',
  'BURST_HEADER_LCORE',
  'BURST_HEADER_NOW_NS',
  'BURST_MAX',
  'BURST_PAGE',
  'DESCRIPTORS',
  'DESCRIPTOR_DATA',
  'DESCRIPTOR_EGRESS',
  'DESCRIPTOR_FLAGS',
  'DESCRIPTOR_HASH',
  'DESCRIPTOR_HEADROOM',
  'DESCRIPTOR_LENGTH',
  'DESCRIPTOR_MARK',
  'DESCRIPTOR_PORT',
  'DESCRIPTOR_TAILROOM',
  'DESCRIPTOR_TIMESTAMP_NS',
  'DESCRIPTOR_VERDICT',
  'PACKET_WINDOW',
  'SETTINGS_ENTRY_COUNT',
  'SETTINGS_ENTRY_KIND',
  'SETTINGS_ENTRY_NAME',
  'SETTINGS_ENTRY_NAME_BYTES',
  'SETTINGS_ENTRY_VALUE',
  'SETTINGS_ENTRY_VALUE_BYTES',
  'SETTINGS_HEADER_ABI',
  'SETTINGS_HEADER_COUNT',
  'SETTINGS_PAGE',
  'SIZEOF_DESCRIPTOR',
  'SIZEOF_SETTINGS_ENTRY',
  'SIZEOF_SETTINGS_HEADER',
  'STATE_WINDOW',
  'VERDICT_UNDECIDED',
  'VERDICT_PASS',
  'VERDICT_DROP',
  'VERDICT_REDIRECT',
  'VERDICT_PUNT',
] as const;

/** Kinds of settings (`SETTING_*`). */
export const SETTING = { number: 1, boolean: 2, string: 3, strings: 4, numbers: 5 } as const;

/** The constants of the generated `runtime/abi.ts`, which is AssemblyScript and no module here. */
export function readAbi(path: string): Record<(typeof NAMES)[number], number> {
  const text = readFileSync(path, 'utf8');
  const found = new Map(
    [...text.matchAll(/^export const (\w+): u32 = (\d+);$/gm)].map((match) => [
      match[1],
      Number(match[2]),
    ]),
  );
  const constants = {} as Record<(typeof NAMES)[number], number>;
  for (const name of NAMES) {
    const value = found.get(name);
    if (value === undefined) throw new Error(`${path} has no ${name}`);
    constants[name] = value;
  }
  return constants;
}
