import { describe, expect, it } from 'vitest';
import type { NativeTable } from '../src/native.js';
import { tableCodec } from '../src/tables/codec.js';
import { Tables } from '../src/tables/live.js';
import { FakeNative } from './fake-native.js';

const TYPES = [
  { name: 'Flow', layout: 'source:u32@0,port:u16@4' },
  { name: 'u64', layout: 'value:u64@0' },
];

function table(more: Partial<NativeTable> = {}): NativeTable {
  return {
    program: 'guard',
    name: 'flows',
    kind: 'hash',
    shared: false,
    persist: false,
    capacity: 8,
    keyBytes: 6,
    valueBytes: 8,
    keyType: 'Flow',
    valueType: 'u64',
    lcores: [{ count: 0, refused: 0, evicted: 0, bytes: 4096 }],
    ...more,
  };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('keys and values', () => {
  it('of classes and numbers go by their fields', () => {
    const codec = tableCodec(table(), TYPES);
    expect([codec.keyText, codec.valueText]).toEqual(['source u32, port u16', 'u64']);
    const key = codec.key({ source: '10.0.0.1', port: 53 });
    expect(hex(key)).toBe('0100000a3500');
    expect(codec.decodeKey(key)).toEqual({ source: 0x0a000001, port: 53 });
    expect(hex(codec.parseKey('{"source":1,"port":2}'))).toBe('010000000200');
    expect(hex(codec.parseValue('18446744073709551615'))).toBe('ffffffffffffffff');
  });

  it.each([
    ['lpm4', '10.0.0.0/8', '0a00000008', '10.1.2.3', '0a010203'],
    ['lpm4', '0.0.0.0/0', '0000000000', '1.2.3.4', '01020304'],
    ['lpm4', '255.255.255.255/32', 'ffffffff20', '255.255.255.255', 'ffffffff'],
    ['lpm6', '2001:db8::/32', `20010db8${'0'.repeat(24)}20`, '::1', `${'0'.repeat(31)}1`],
  ])('of %s are prefixes such as %s, looked up by address', (kind, prefix, key, address, bytes) => {
    const codec = tableCodec(table({ kind, keyType: '', valueBytes: 4, valueType: 'u32' }), []);
    expect(hex(codec.key(prefix))).toBe(key);
    expect(codec.decodeKey(codec.key(prefix))).toBe(prefix);
    expect(hex(codec.lookup(address))).toBe(bytes);
    expect(hex(codec.parseKey(`"${prefix}"`))).toBe(key);
    expect(hex(codec.parseLookup(` ${address} `))).toBe(bytes);
    // A number speaks for itself, whatever the manifest says.
    expect(hex(codec.value(7))).toBe('07000000');
  });

  it.each([
    ['lpm4', '10.0.0.1/8'],
    ['lpm4', '10.0.0.0/33'],
    ['lpm4', '10.0.0.0'],
    ['lpm4', '300.0.0.0/8'],
    ['lpm4', '::/0'],
    ['lpm6', '10.0.0.0/8'],
    ['lpm6', '2001:db8::/129'],
    ['lpm6', '2001:db8::1/64'],
    ['lpm4', 7],
    ['lpm4', null],
  ])('%s has no prefix %s', (kind, prefix) => {
    const codec = tableCodec(table({ kind }), []);
    expect(() => codec.key(prefix)).toThrow(/^(?=.*(prefix|address)).*$/);
  });

  it('of arrays are numbers', () => {
    const codec = tableCodec(table({ kind: 'array', keyType: '', keyBytes: 4 }), TYPES);
    expect(codec.keyText).toBe('number of the element');
    expect(hex(codec.key(258))).toBe('02010000');
  });

  it('of types that nobody describes are bytes', () => {
    const codec = tableCodec(table({ keyType: 'Odd', keyBytes: 3 }), []);
    expect(codec.keyText).toBe('3 bytes in hexadecimal');
    expect(hex(codec.key('0a0b0c'))).toBe('0a0b0c');
    expect(codec.decodeKey(Uint8Array.of(1, 2, 3))).toBe('010203');
    for (const wrong of ['0a0b', '0a0b0c0d', 'xyz', 5]) {
      expect(() => codec.key(wrong)).toThrow('is not 3 bytes in hexadecimal');
    }
  });
});

describe('a table', () => {
  const rows = [table(), table({ program: 'meter' }), table({ name: 'limits' })];
  const native = new FakeNative([]);
  native.tables = () => rows as never[];
  const tables = new Tables({ native, track: (call) => call, typesOf: () => TYPES });

  it('is found by its name, its program, its tenant', () => {
    expect(tables.find('limits').table).toBe(rows[2]);
    expect(tables.find('meter/flows').table).toBe(rows[1]);
    expect(tables.find('default/guard/flows').table).toBe(rows[0]);
  });

  it.each([
    ['flows', 'several programs have it'],
    ['limit', 'there is no such table'],
    ['guard/flow', 'did you mean "guard/flows"?'],
    ['acme/guard/flows', 'there is no such table'],
  ])('is not found by %s', (name, why) => {
    expect(() => tables.find(name)).toThrow(why);
    expect(() => tables.find(name)).toThrow(
      expect.objectContaining({
        code: 'WIRELET_E_TABLE_UNKNOWN',
        hint: 'Tables: guard/flows, meter/flows, guard/limits.',
      }),
    );
  });
});
