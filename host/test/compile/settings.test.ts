import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as abi from '../../src/abi.js';
import type { WireletError } from '../../src/error.js';
import { encodeSettings, type SettingValue } from '../../src/settings.js';

/** Reads a page as the guest does: by addresses, never behind `bytes`. */
function decode(page: Uint8Array): Record<string, unknown> {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  expect(view.getUint32(abi.SETTINGS_HEADER_ABI, true)).toBe(abi.ABI_VERSION);
  expect(view.getUint32(abi.SETTINGS_HEADER_BYTES, true)).toBe(page.length);
  const text = (address: number, bytes: number) => {
    const at = address - abi.SETTINGS_PAGE;
    expect(at >= 0 && at + bytes <= page.length).toBe(true);
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      page.subarray(at, at + bytes),
    );
  };
  const values: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  const count = view.getUint32(abi.SETTINGS_HEADER_COUNT, true);
  for (let index = 0; index < count; index++) {
    const at = abi.SIZEOF_SETTINGS_HEADER + index * abi.SIZEOF_SETTINGS_ENTRY;
    const u32 = (field: number) => view.getUint32(at + field, true);
    const name = text(u32(abi.SETTINGS_ENTRY_NAME), u32(abi.SETTINGS_ENTRY_NAME_BYTES));
    const items = u32(abi.SETTINGS_ENTRY_COUNT);
    const value = u32(abi.SETTINGS_ENTRY_VALUE);
    const bytes = u32(abi.SETTINGS_ENTRY_VALUE_BYTES);
    const list = Array.from({ length: items }, (_, item) => value - abi.SETTINGS_PAGE + item * 8);
    const kind = u32(abi.SETTINGS_ENTRY_KIND);
    if (kind === abi.SETTING_NUMBER)
      values[name] = view.getFloat64(at + abi.SETTINGS_ENTRY_VALUE, true);
    else if (kind === abi.SETTING_BOOLEAN) values[name] = value === 1;
    else if (kind === abi.SETTING_STRING) values[name] = text(value, bytes);
    else if (kind === abi.SETTING_NUMBERS) {
      expect(bytes).toBe(items * 8);
      expect(value % 8).toBe(0);
      values[name] = list.map((each) => view.getFloat64(each, true));
    } else {
      expect([kind, bytes]).toEqual([abi.SETTING_STRINGS, items * 8]);
      values[name] = list.map((each) =>
        text(view.getUint32(each, true), view.getUint32(each + 4, true)),
      );
    }
  }
  return values;
}

const text = fc.string({ unit: 'grapheme' });
const number = fc.double({ noNaN: true, noDefaultInfinity: true });
const value: fc.Arbitrary<SettingValue> = fc.oneof(
  number,
  fc.boolean(),
  text,
  fc.array(text),
  fc.array(number, { minLength: 1 }),
);
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 });

test('every page decodes to what was encoded', () => {
  const fits = (each: Record<string, unknown>) =>
    Object.keys(each).every((key) => Buffer.byteLength(key) <= abi.NAME_BYTES_MAX);
  fc.assert(
    fc.property(fc.dictionary(name, value).filter(fits), fc.nat(), (values, version) => {
      const page = encodeSettings(values, version);
      const view = new DataView(page.buffer);
      expect(view.getUint32(abi.SETTINGS_HEADER_VERSION, true)).toBe(version);
      expect(decode(page)).toEqual(Object.assign(Object.create(null), values));
    }),
  );
});

const WRONG: [string, Record<string, unknown>, string][] = [
  ['a number that is not finite', { limit: Number.NaN }, 'limit'],
  ['a nested object', { nested: {} }, 'nested'],
  ['null', { nothing: null }, 'nothing'],
  ['a mixed list', { mixed: ['a', 1] }, 'mixed[1]'],
  ['a list with an infinite number', { list: [1, Number.POSITIVE_INFINITY] }, 'list[1]'],
  ['half a surrogate pair', { half: '\ud800' }, 'half'],
  ['a name without characters', { '': 1 }, ''],
  ['a name that is too long', { ['n'.repeat(65)]: 1 }, 'n'.repeat(65)],
];

test.each(WRONG)('%s is refused by its key', (_name, values, key) => {
  expect(() => encodeSettings(values as Record<string, SettingValue>)).toThrow(
    expect.objectContaining({ code: 'WIRELET_E_SETTINGS', details: { key } }) as WireletError,
  );
});

test('a page of more than its limit is refused, one just within is not', () => {
  const room = abi.SETTINGS_BYTES_MAX - abi.SIZEOF_SETTINGS_HEADER - abi.SIZEOF_SETTINGS_ENTRY - 8;
  expect(encodeSettings({ a: 'x'.repeat(room) })).toHaveLength(abi.SETTINGS_BYTES_MAX);
  expect(() => encodeSettings({ a: 'x'.repeat(room + 1) })).toThrow(/full at `a`/);
  const many = Object.fromEntries(Array.from({ length: 40_000 }, (_, index) => [`k${index}`, 1]));
  expect(() => encodeSettings(many)).toThrow(/full/);
});
