import {
  SETTING_BOOLEAN,
  SETTING_NUMBER,
  SETTING_NUMBERS,
  SETTING_STRING,
  SETTING_STRINGS,
  SETTINGS_ENTRY_COUNT,
  SETTINGS_ENTRY_KIND,
  SETTINGS_ENTRY_NAME,
  SETTINGS_ENTRY_NAME_BYTES,
  SETTINGS_ENTRY_VALUE,
  SETTINGS_ENTRY_VALUE_BYTES,
  SETTINGS_HEADER_COUNT,
  SETTINGS_PAGE,
  SIZEOF_SETTINGS_ENTRY,
  SIZEOF_SETTINGS_HEADER,
} from './abi';
import { Utf8 } from './utf8';

/**
 * The program's settings, from the config's `settings` or `--set`. Read them at top level or in
 * `onLoad`: strings and lists are copied into the program's own memory, which per packet would be
 * an allocation. A setting that is absent has the default; one of another type is a fault that
 * names it, so the program is refused and the old one stays.
 *
 * ```ts
 * const limit = Settings.u32('limit', 1500);
 * const names = Settings.strings('blocked', []);
 * ```
 */
export class Settings {
  /** Whether the setting is there. */
  static has(name: string): bool {
    return entry(name) != 0;
  }

  /** A number. */
  static number(name: string, otherwise: f64): f64 {
    const at = typed(name, SETTING_NUMBER, 'a number');
    return at == 0 ? otherwise : load<f64>(at, SETTINGS_ENTRY_VALUE);
  }

  /** A whole number from 0 to 4,294,967,295; another number is a fault. */
  static u32(name: string, otherwise: u32): u32 {
    const at = typed(name, SETTING_NUMBER, 'a number');
    if (at == 0) return otherwise;
    const value = load<f64>(at, SETTINGS_ENTRY_VALUE);
    if (!(value >= 0 && value <= 4294967295 && Math.floor(value) == value)) {
      refuse(name, 'a whole number from 0 to 4294967295');
    }
    return <u32>value;
  }

  /** True or false. */
  static boolean(name: string, otherwise: bool): bool {
    const at = typed(name, SETTING_BOOLEAN, 'true or false');
    return at == 0 ? otherwise : load<u64>(at, SETTINGS_ENTRY_VALUE) != 0;
  }

  /** Text. */
  static string(name: string, otherwise: string): string {
    const at = typed(name, SETTING_STRING, 'a string');
    if (at == 0) return otherwise;
    return String.UTF8.decodeUnsafe(
      <usize>load<u64>(at, SETTINGS_ENTRY_VALUE),
      load<u32>(at, SETTINGS_ENTRY_VALUE_BYTES),
    );
  }

  /** A list of text. */
  static strings(name: string, otherwise: string[]): string[] {
    const at = typed(name, SETTING_STRINGS, 'a list of strings');
    if (at == 0) return otherwise;
    const count = load<u32>(at, SETTINGS_ENTRY_COUNT);
    const pairs = <usize>load<u64>(at, SETTINGS_ENTRY_VALUE);
    const list = new Array<string>(count);
    for (let i: u32 = 0; i < count; i++) {
      const pair = pairs + i * 8;
      list[i] = String.UTF8.decodeUnsafe(<usize>load<u32>(pair), load<u32>(pair, 4));
    }
    return list;
  }

  /** A list of numbers. */
  static numbers(name: string, otherwise: f64[]): f64[] {
    const at = typed(name, SETTING_NUMBERS, 'a list of numbers');
    if (at == 0) return otherwise;
    const count = load<u32>(at, SETTINGS_ENTRY_COUNT);
    const values = <usize>load<u64>(at, SETTINGS_ENTRY_VALUE);
    const list = new Array<f64>(count);
    for (let i: u32 = 0; i < count; i++) list[i] = load<f64>(values + i * 8);
    return list;
  }
}

/** Address of the entry of this name, 0 when there is none. */
function entry(name: string): usize {
  const count = load<u32>(SETTINGS_PAGE, SETTINGS_HEADER_COUNT);
  let at: usize = SETTINGS_PAGE + SIZEOF_SETTINGS_HEADER;
  for (let i: u32 = 0; i < count; i++) {
    const bytes = load<u32>(at, SETTINGS_ENTRY_NAME_BYTES);
    if (Utf8.equals(name, <usize>load<u32>(at, SETTINGS_ENTRY_NAME), bytes)) return at;
    at += SIZEOF_SETTINGS_ENTRY;
  }
  return 0;
}

function typed(name: string, kind: u32, wanted: string): usize {
  const at = entry(name);
  if (at == 0) return 0;
  const found = load<u32>(at, SETTINGS_ENTRY_KIND);
  // A list of nothing has no type of its own: the host may write it as either list.
  const empty = load<u32>(at, SETTINGS_ENTRY_COUNT) == 0 && found >= SETTING_STRINGS;
  if (found != kind && !(empty && kind >= SETTING_STRINGS)) refuse(name, wanted);
  return at;
}

function refuse(name: string, wanted: string): void {
  throw new TypeError('setting "' + name + '" must be ' + wanted);
}
