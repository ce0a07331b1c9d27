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
  'SIZEOF_TABLE_ENTRY',
  'SIZEOF_TABLE_HEADER',
  'SIZEOF_TABLE_SPEC',
  'STATE_WINDOW',
  'TABLE_ENTRY_AGES',
  'TABLE_ENTRY_CAPACITY',
  'TABLE_ENTRY_DIRTY',
  'TABLE_ENTRY_COPYING',
  'TABLE_ENTRY_ENTRIES',
  'TABLE_ENTRY_FLAGS',
  'TABLE_ENTRY_TAGS_MASK',
  'TABLE_ENTRY_HEADER',
  'TABLE_ENTRY_KIND',
  'TABLE_ENTRY_SEED',
  'TABLE_ENTRY_STRIDE',
  'TABLE_ENTRY_TAGS',
  'TABLE_ENTRY_VALUE_OFFSET',
  'TABLE_GROUP_ENTRIES',
  'TABLE_HASH',
  'TABLE_HEADER_CLOCK',
  'TABLE_HEADER_COUNT',
  'TABLE_HEADER_EVICTED',
  'TABLE_HEADER_REFUSED',
  'TABLE_HEADER_SEQUENCE',
  'TABLE_LPM4',
  'TABLE_LPM6',
  'TABLE_LPM_NODE',
  'TABLE_LRU',
  'TABLE_ARRAY',
  'TABLE_SHARED',
  'TABLE_SPEC_CAPACITY',
  'TABLE_SPEC_FLAGS',
  'TABLE_SPEC_KEY_BYTES',
  'TABLE_SPEC_KEY_TYPE',
  'TABLE_SPEC_KEY_TYPE_BYTES',
  'TABLE_SPEC_KIND',
  'TABLE_SPEC_NAME',
  'TABLE_SPEC_NAME_BYTES',
  'TABLE_SPEC_VALUE_BYTES',
  'TABLE_SPEC_VALUE_TYPE',
  'TABLE_SPEC_VALUE_TYPE_BYTES',
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
