import { HASH_LAST, HASH_WORD } from './abi';

/**
 * Keys and values as tables hold them: their bytes as u64 words, padding zero, the last word filled
 * up with zeros. Integers are one word.
 *
 * Words of a class are put together from its fields, by methods that `transform.js` adds to it: a
 * word-sized load over two narrower stores would wait until all that came before it is written
 * (no store forwarding), and lookups of one burst could not overlap. Classes without those methods
 * (generic or derived ones) are read by words; their padding is zero because `new` zeroes.
 */
export class TableFields {
  /** Bytes of a key or value. */
  @inline
  static bytes<T>(): u32 {
    return isReference<T>() ? <u32>offsetof<T>() : <u32>sizeof<T>();
  }

  /** Those bytes rounded up to words. */
  @inline
  static padded<T>(): u32 {
    return (TableFields.bytes<T>() + 7) & ~7;
  }

  /** A key's hash (native/abi/src/table.rs). */
  @inline
  static hash<K>(key: K, seed: u64): u64 {
    let hash = seed;
    if (!isReference<K>()) {
      hash = WireletWords.mix(hash, TableFields.word<K>(key));
      // @ts-expect-error: added by transform.js
    } else if (isDefined(key.__wireletHash)) {
      // @ts-expect-error: added by transform.js
      hash = key.__wireletHash(hash);
    } else {
      hash = hashMemory(hash, changetype<usize>(key), TableFields.bytes<K>());
    }
    hash = hash * HASH_LAST;
    return hash ^ (hash >> 29);
  }

  /** Whether the bytes at `at` are those of `key`. */
  @inline
  static equal<K>(key: K, at: usize): bool {
    if (!isReference<K>()) {
      return load<u64>(at) == TableFields.word<K>(key);
      // @ts-expect-error: added by transform.js
    } else if (isDefined(key.__wireletEquals)) {
      // @ts-expect-error: added by transform.js
      return key.__wireletEquals(at);
    } else {
      return equalMemory(at, changetype<usize>(key), TableFields.bytes<K>());
    }
  }

  /** Writes a key or value to `at`. */
  @inline
  static write<T>(value: T, at: usize): void {
    if (!isReference<T>()) {
      WireletWords.put(at, 0, TableFields.word<T>(value));
      // @ts-expect-error: added by transform.js
    } else if (isDefined(value.__wireletWrite)) {
      // @ts-expect-error: added by transform.js
      value.__wireletWrite(at);
    } else {
      writeMemory(at, changetype<usize>(value), TableFields.bytes<T>());
    }
  }

  /** Zeroes a value at `at`. */
  @inline
  static clear<T>(at: usize): void {
    const end = at + TableFields.padded<T>();
    if (TableFields.padded<T>() <= 64) {
      store<u64>(at, 0);
      if (TableFields.padded<T>() > 8) store<u64>(at, 0, 8);
      if (TableFields.padded<T>() > 16) store<u64>(at, 0, 16);
      if (TableFields.padded<T>() > 24) store<u64>(at, 0, 24);
      if (TableFields.padded<T>() > 32) store<u64>(at, 0, 32);
      if (TableFields.padded<T>() > 40) store<u64>(at, 0, 40);
      if (TableFields.padded<T>() > 48) store<u64>(at, 0, 48);
      if (TableFields.padded<T>() > 56) store<u64>(at, 0, 56);
    } else {
      for (let word = at; word < end; word += 8) store<u64>(word, 0);
    }
  }

  /** The sum of two numbers of one type. */
  @inline
  static sum<T>(a: T, b: T): T {
    return isFloat<T>() ? ((<f64>a + <f64>b) as T) : ((<u64>a + <u64>b) as T);
  }

  /** The word that an integer or a float is. */
  @inline
  private static word<T>(value: T): u64 {
    if (isFloat<T>()) {
      return sizeof<T>() == 8 ? reinterpret<u64>(<f64>value) : <u64>reinterpret<u32>(<f32>value);
    }
    if (sizeof<T>() == 1) return <u64>(<u8>value);
    if (sizeof<T>() == 2) return <u64>(<u16>value);
    if (sizeof<T>() == 4) return <u64>(<u32>value);
    return <u64>value;
  }
}

/** What the methods of `transform.js` are made of; global, so that they find it in any file. */
@global
export class WireletWords {
  /** The hash after one more word. */
  @inline
  static mix(hash: u64, word: u64): u64 {
    const mixed = hash ^ word;
    const sum = mixed * HASH_WORD + (mixed & 0xffff_ffff) * (mixed >> 32);
    return sum ^ (sum >> 32);
  }

  /** Bits of a word in memory that differ; a branch for each word would be dearer. */
  @inline
  static differ(at: usize, offset: usize, word: u64): u64 {
    return load<u64>(at + offset) ^ word;
  }

  @inline
  static put(at: usize, offset: usize, word: u64): void {
    store<u64>(at + offset, word);
  }
}

/** The word at `at`, of which `bytes` belong to the object. */
function wordOf(at: usize, bytes: u32): u64 {
  if (bytes >= 8) return load<u64>(at);
  let word: u64 = 0;
  for (let i: u32 = 0; i < bytes; i++) word |= (load<u8>(at + i) as u64) << ((i << 3) as u64);
  return word;
}

function hashMemory(seed: u64, at: usize, bytes: u32): u64 {
  let hash = seed;
  for (let i: u32 = 0; i < bytes; i += 8) hash = WireletWords.mix(hash, wordOf(at + i, bytes - i));
  return hash;
}

function equalMemory(at: usize, object: usize, bytes: u32): bool {
  for (let i: u32 = 0; i < bytes; i += 8) {
    if (load<u64>(at + i) != wordOf(object + i, bytes - i)) return false;
  }
  return true;
}

function writeMemory(at: usize, object: usize, bytes: u32): void {
  for (let i: u32 = 0; i < bytes; i += 8) store<u64>(at + i, wordOf(object + i, bytes - i));
}
