/**
 * A program's settings page, as native/abi/src/settings.rs lays it out: a header, an entry per
 * setting, then names and values that the entries point to by guest address.
 *
 * ```ts
 * encodeSettings({ blocked: ['ads.example'], limit: 100, log: true });
 * ```
 */
import {
  ABI_VERSION,
  NAME_BYTES_MAX,
  SETTING_BOOLEAN,
  SETTING_NUMBER,
  SETTING_NUMBERS,
  SETTING_STRING,
  SETTING_STRINGS,
  SETTINGS_BYTES_MAX,
  SETTINGS_ENTRY_COUNT,
  SETTINGS_ENTRY_KIND,
  SETTINGS_ENTRY_NAME,
  SETTINGS_ENTRY_NAME_BYTES,
  SETTINGS_ENTRY_VALUE,
  SETTINGS_ENTRY_VALUE_BYTES,
  SETTINGS_HEADER_ABI,
  SETTINGS_HEADER_BYTES,
  SETTINGS_HEADER_COUNT,
  SETTINGS_HEADER_VERSION,
  SETTINGS_PAGE,
  SIZEOF_SETTINGS_ENTRY,
  SIZEOF_SETTINGS_HEADER,
} from './abi.js';
import { WireletError } from './error.js';

export type SettingValue = number | boolean | string | readonly string[] | readonly number[];
export type SettingValues = Readonly<Record<string, SettingValue>>;

/** f64s are read where they lie, so each begins at a multiple of 8. */
const ALIGNMENT = 8;
/** An address and a length. */
const STRING_PAIR_BYTES = 8;
/** Of a page at first: most settings fit. The largest size would be garbage, at each swap. */
const PAGE_BYTES_FIRST = 4096;

/** The page's bytes. An empty list is an empty list of strings. */
export function encodeSettings(values: SettingValues, version = 1): Uint8Array {
  if (!Number.isInteger(version) || version < 0 || version > 0xffff_ffff) {
    throw new WireletError('WIRELET_E_SETTINGS', `The version ${version} is no u32.`);
  }
  const entries = Object.entries(values);
  const page = new Page(entries.length);
  for (const [index, [key, value]] of entries.entries()) writeEntry(page, index, key, value);
  return page.finish(entries.length, version);
}

function writeEntry(page: Page, index: number, key: string, value: unknown): void {
  const name = utf8(key, key);
  if (name.length === 0 || name.length > NAME_BYTES_MAX) {
    throw wrong(key, `its name has ${name.length} bytes, not 1 to ${NAME_BYTES_MAX}`);
  }
  const entry = { key, name: page.append(key, name), nameBytes: name.length };
  if (typeof value === 'number') {
    page.entry(index, { ...entry, kind: SETTING_NUMBER, number: finite(key, value) });
  } else if (typeof value === 'boolean') {
    page.entry(index, { ...entry, kind: SETTING_BOOLEAN, value: value ? 1 : 0 });
  } else if (typeof value === 'string') {
    const bytes = utf8(key, value);
    const address = page.append(key, bytes);
    page.entry(index, { ...entry, kind: SETTING_STRING, value: address, bytes: bytes.length });
  } else if (Array.isArray(value)) {
    page.entry(index, { ...entry, ...writeList(page, key, value) });
  } else {
    throw wrong(key, 'it is no number, boolean, string or list of numbers or of strings');
  }
}

function writeList(page: Page, key: string, list: readonly unknown[]) {
  const count = list.length;
  if (count > 0 && list.every((each) => typeof each === 'number')) {
    const numbers = new DataView(new ArrayBuffer(count * 8));
    for (const [index, each] of list.entries()) {
      numbers.setFloat64(index * 8, finite(`${key}[${index}]`, each), true);
    }
    const value = page.append(key, new Uint8Array(numbers.buffer));
    return { kind: SETTING_NUMBERS, count, value, bytes: numbers.byteLength };
  }
  const pairs = new DataView(new ArrayBuffer(count * STRING_PAIR_BYTES));
  for (const [index, each] of list.entries()) {
    if (typeof each !== 'string') {
      throw wrong(`${key}[${index}]`, 'a list holds strings only, or numbers only');
    }
    const bytes = utf8(`${key}[${index}]`, each);
    pairs.setUint32(index * STRING_PAIR_BYTES, page.append(key, bytes), true);
    pairs.setUint32(index * STRING_PAIR_BYTES + 4, bytes.length, true);
  }
  const value = page.append(key, new Uint8Array(pairs.buffer));
  return { kind: SETTING_STRINGS, count, value, bytes: pairs.byteLength };
}

interface Entry {
  key: string;
  name: number;
  nameBytes: number;
  kind: number;
  count?: number;
  /** An f64 in `value`'s place. */
  number?: number;
  value?: number;
  bytes?: number;
}

/** The page while it is written: entries at its front, bytes behind them. */
class Page {
  #bytes: Uint8Array;
  #view: DataView;
  #end: number;

  constructor(entries: number) {
    this.#end = SIZEOF_SETTINGS_HEADER + entries * SIZEOF_SETTINGS_ENTRY;
    if (this.#end > SETTINGS_BYTES_MAX) throw tooLarge(`${entries} settings`);
    this.#bytes = new Uint8Array(Math.max(PAGE_BYTES_FIRST, this.#end));
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Adds bytes and returns their guest address. */
  append(key: string, bytes: Uint8Array): number {
    const at = Math.ceil(this.#end / ALIGNMENT) * ALIGNMENT;
    if (at + bytes.length > SETTINGS_BYTES_MAX) throw tooLarge(`\`${key}\``);
    this.#holdUpTo(at + bytes.length);
    this.#bytes.set(bytes, at);
    this.#end = at + bytes.length;
    return SETTINGS_PAGE + at;
  }

  #holdUpTo(end: number): void {
    if (end <= this.#bytes.length) return;
    const larger = new Uint8Array(
      Math.min(Math.max(end, 2 * this.#bytes.length), SETTINGS_BYTES_MAX),
    );
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  entry(index: number, entry: Entry): void {
    const at = SIZEOF_SETTINGS_HEADER + index * SIZEOF_SETTINGS_ENTRY;
    const view = this.#view;
    view.setUint32(at + SETTINGS_ENTRY_NAME, entry.name, true);
    view.setUint32(at + SETTINGS_ENTRY_NAME_BYTES, entry.nameBytes, true);
    view.setUint32(at + SETTINGS_ENTRY_KIND, entry.kind, true);
    view.setUint32(at + SETTINGS_ENTRY_COUNT, entry.count ?? 1, true);
    if (entry.number === undefined) {
      view.setBigUint64(at + SETTINGS_ENTRY_VALUE, BigInt(entry.value ?? 0), true);
    } else {
      view.setFloat64(at + SETTINGS_ENTRY_VALUE, entry.number, true);
    }
    view.setUint32(at + SETTINGS_ENTRY_VALUE_BYTES, entry.bytes ?? 0, true);
  }

  finish(count: number, version: number): Uint8Array {
    this.#view.setUint32(SETTINGS_HEADER_ABI, ABI_VERSION, true);
    this.#view.setUint32(SETTINGS_HEADER_COUNT, count, true);
    this.#view.setUint32(SETTINGS_HEADER_BYTES, this.#end, true);
    this.#view.setUint32(SETTINGS_HEADER_VERSION, version, true);
    return this.#bytes.slice(0, this.#end);
  }
}

function finite(key: string, value: number): number {
  if (!Number.isFinite(value)) throw wrong(key, `${value} is no finite number`);
  return value;
}

function utf8(key: string, text: string): Uint8Array {
  if (!text.isWellFormed()) throw wrong(key, 'it has half a surrogate pair, which UTF-8 lacks');
  return new TextEncoder().encode(text);
}

function wrong(key: string, why: string): WireletError {
  const message = `The setting \`${key}\` can't be written: ${why}.`;
  return new WireletError('WIRELET_E_SETTINGS', message, { details: { key } });
}

function tooLarge(what: string): WireletError {
  const message = `The settings page is full at ${what}: it has ${SETTINGS_BYTES_MAX} bytes.`;
  return new WireletError('WIRELET_E_SETTINGS', message, { details: { what } });
}
