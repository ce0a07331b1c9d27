import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeFields,
  encodeFields,
  encodeJson,
  type FieldValue,
  fieldsToJson,
} from '../../src/tables/fields.js';
import { FIELD_BYTES, type FieldType, parseLayout } from '../../src/tables/layout.js';
import { errorOf } from '../error-of.js';

const KEY = parseLayout({ name: 'FlowKey', layout: 'source:u32@0,port:u16@4,inner:bool@6' });
const U64 = parseLayout({ name: 'u64', layout: 'value:u64@0' });

describe('a layout', () => {
  it('is its fields', () => {
    expect(KEY).toMatchObject({ name: 'FlowKey', bytes: 7, scalar: false });
    expect(U64).toMatchObject({ bytes: 8, scalar: true });
    // A class with one field of that name is no number.
    expect(parseLayout({ name: 'Box', layout: 'value:u64@0' }).scalar).toBe(false);
    expect(parseLayout({ name: 'Empty', layout: '' })).toMatchObject({ fields: [], bytes: 0 });
  });

  it.each([
    'source',
    'source:u32',
    'source:u31@0',
    'source:toString@0',
    'source:u32@-1',
    'source:u32@0,',
    'source:u32@0;port:u16@4',
    'source:u32@0,port:u16@2',
    'source:u32@0,source:u16@4',
    'a b:u32@0',
  ])('%j is refused', (layout) => {
    expect(errorOf(() => parseLayout({ name: 'Bad', layout })).code).toBe('WIRELET_E_TABLE_SCHEMA');
  });
});

describe('fields', () => {
  it('are bytes in host order, with zeros between them', () => {
    const bytes = encodeFields(KEY, { source: '10.0.0.1', port: 53, inner: true });
    expect(Buffer.from(bytes).toString('hex')).toBe('0100000a350001');
    expect(decodeFields(KEY, bytes)).toEqual({ source: 0x0a000001, port: 53, inner: true });
    const wide = parseLayout({ name: 'Wide', layout: 'a:u8@0,b:u64@8' });
    expect(encodeFields(wide, { a: 255, b: 1 })).toEqual(
      Uint8Array.of(255, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0),
    );
  });

  it('of a number are the number', () => {
    expect(decodeFields(U64, encodeFields(U64, 5))).toBe(5);
    expect(decodeFields(U64, encodeFields(U64, { value: 5 }))).toBe(5);
    expect(decodeFields(U64, encodeFields(U64, 2n ** 64n - 1n))).toBe(2n ** 64n - 1n);
  });

  it('do not round in JSON', () => {
    const layout = parseLayout({ name: 'Flow', layout: 'bytes:u64@0,last:i64@8' });
    const text = '{"bytes": 18446744073709551615, "last": -9223372036854775808}';
    const decoded = decodeFields(layout, encodeJson(layout, text));
    expect(decoded).toEqual({ bytes: 2n ** 64n - 1n, last: -(2n ** 63n) });
    const json = fieldsToJson(decoded);
    expect(json).toBe('{"bytes":"18446744073709551615","last":"-9223372036854775808"}');
    expect(decodeFields(layout, encodeJson(layout, json))).toEqual(decoded);
    expect(decodeFields(U64, encodeJson(U64, '18446744073709551615'))).toBe(2n ** 64n - 1n);
    expect(decodeFields(U64, encodeJson(U64, ' "0xff" '))).toBe(255);
  });

  it.each([
    [{ source: 1, port: 2 }, '`inner` is missing'],
    [{ source: 1, port: 2, inner: true, x: 1 }, 'there is no field `x`'],
    [{ source: 1, port: 65536, inner: true }, '`port`: 65536 is not from 0 to 65535'],
    [{ source: -1, port: 1, inner: true }, '`source`: -1 is not from 0 to 4294967295'],
    [{ source: 1.5, port: 1, inner: true }, '`source`: 1.5 is no whole number'],
    [{ source: '10.0.0.256', port: 1, inner: true }, '"10.0.0.256" is no whole number'],
    [{ source: 1, port: '10.0.0.1', inner: true }, '`port`: "10.0.0.1" is no whole number'],
    [{ source: null, port: 1, inner: true }, '`source`: null is no whole number'],
    [{ source: '', port: 1, inner: true }, '`source`: "" is no whole number'],
    [{ source: 1, port: 1, inner: 'yes' }, '`inner`: "yes" is neither true nor false'],
    [[1, 2, true], '[1,2,true] has no fields'],
    [5, '5 has no fields'],
    [undefined, 'undefined has no fields'],
  ])('%j are refused', (value, message) => {
    const error = errorOf(() => encodeFields(KEY, value));
    expect(error.code).toBe('WIRELET_E_TABLE_VALUE');
    expect(error.message).toContain(message);
    expect(error.hint).toBe('FlowKey is: source u32, port u16, inner bool.');
  });

  it.each(['', '{', '{"source": }', 'source=1'])('JSON %j is refused', (text) => {
    expect(errorOf(() => encodeJson(KEY, text)).code).toBe('WIRELET_E_TABLE_VALUE');
  });

  it.each(['', 'x', '1e3', '1.5', '0x', '18446744073709551616'])('number %j is refused', (text) => {
    expect(errorOf(() => encodeJson(U64, text)).code).toBe('WIRELET_E_TABLE_VALUE');
  });

  it('need all their bytes', () => {
    const error = errorOf(() => decodeFields(KEY, new Uint8Array(6)));
    expect(error.message).toBe('6 bytes are no FlowKey, which has 7.');
    // Entries are padded to words.
    expect(decodeFields(KEY, new Uint8Array(8))).toEqual({ source: 0, port: 0, inner: false });
  });
});

describe('any fields', () => {
  const anyValue = (type: FieldType): fc.Arbitrary<FieldValue> => {
    if (type === 'bool') return fc.boolean();
    const finite = { noNaN: true, noDefaultInfinity: true };
    if (type === 'f64') return fc.double(finite);
    if (type === 'f32') return fc.float(finite);
    const bits = BigInt(FIELD_BYTES[type] * 8);
    const [min, max] = type.startsWith('i')
      ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n]
      : [0n, (1n << bits) - 1n];
    return fc
      .bigInt(min, max)
      .map((value) => (Number.isSafeInteger(Number(value)) ? Number(value) : value));
  };
  const types = Object.keys(FIELD_BYTES) as FieldType[];
  const layouts = fc.array(fc.constantFrom(...types), { minLength: 1, maxLength: 12 }).map((of) => {
    let end = 0;
    const fields = of.map((type, index) => {
      const offset = Math.ceil(end / FIELD_BYTES[type]) * FIELD_BYTES[type];
      end = offset + FIELD_BYTES[type];
      return `f${index}:${type}@${offset}`;
    });
    return parseLayout({ name: 'Any', layout: fields.join(',') });
  });

  it('come back as they were, through bytes and through JSON', () => {
    const cases = layouts.chain((layout) =>
      fc.record({
        layout: fc.constant(layout),
        values: fc.record(
          Object.fromEntries(layout.fields.map(({ name, type }) => [name, anyValue(type)])),
        ),
      }),
    );
    fc.assert(
      fc.property(cases, ({ layout, values }) => {
        const bytes = encodeFields(layout, values);
        const decoded = decodeFields(layout, bytes) as Record<string, FieldValue>;
        expect({ ...decoded }).toEqual({ ...values });
        if (Object.values(values).some((each) => Object.is(each, -0))) return;
        expect(encodeJson(layout, fieldsToJson(decoded))).toEqual(bytes);
      }),
    );
  });
});
