import { expect, test } from 'vitest';
import { parseLayout } from '../../src/tables/layout.js';
import { compile, PASS, program, rejection, write } from './workshop.js';

const TABLES = "import { HashTable } from '@wirelet/runtime';\n";

/** A program with tables; its text begins in line 3. */
const tables = (text: string): string => program(`${TABLES}${text}${PASS}`);

test('the types of keys and values are in the manifest, with their fields', async () => {
  const { manifest } = await compile(
    tables(`class FlowKey {
  source: u32 = 0; port: u16 = 0; destination: u32 = 0; up: bool = false;
}
class Flow { packets: u64 = 0; rate: f32 = 0; shift: i8 = 0; }
class Longer extends Flow { wide: f64 = 0; }
HashTable.of<FlowKey, Flow>('flows', 1_000);
HashTable.of<FlowKey, Longer>('longer', 1_000);
HashTable.of<i16, usize>('sizes', 10);
HashTable.shared<u64, u8>('blocked', 10);
`),
  );
  const types = manifest?.tableTypes ?? [];
  expect(Object.fromEntries(types.map(({ name, layout }) => [name, layout]))).toEqual({
    Flow: 'packets:u64@0,rate:f32@8,shift:i8@12',
    FlowKey: 'source:u32@0,port:u16@4,destination:u32@8,up:bool@12',
    Longer: 'packets:u64@0,rate:f32@8,shift:i8@12,wide:f64@16',
    i16: 'value:i16@0',
    u64: 'value:u64@0',
    u8: 'value:u8@0',
    usize: 'value:u32@0',
  });
  expect(types.map(parseLayout).map(({ bytes }) => bytes)).toEqual([13, 13, 24, 2, 8, 1, 4]);
});

test('tables that the text names are in the manifest', async () => {
  const { manifest } = await compile(
    tables(`import { HashTable as Table, Settings } from '@wirelet/runtime';
type Address = u32;
class Flow { packets: u64 = 0; }
const flows = Table.of<Address, Flow>('flows', 65_536);
const name = Settings.string('name', 'named');
export function onLoad(): void {
  HashTable.shared<Address, u64>('blocked', Settings.u32('capacity', 10));
  HashTable.of<u32, u32>(name, 10);
}
`),
  );
  expect(manifest?.tables).toEqual([
    {
      name: 'flows',
      kind: 'hash',
      shared: false,
      capacity: 65536,
      keyType: 'u32',
      valueType: 'Flow',
    },
    { name: 'blocked', kind: 'hash', shared: true, keyType: 'u32', valueType: 'u64' },
  ]);
});

test('a program without tables says so', async () => {
  const { manifest } = await compile(program(PASS));
  expect(manifest).toMatchObject({ tables: [], tableTypes: [] });
});

const OPEN = "HashTable.of<Key, Value>('t', 10);\n";
const VALUE = 'class Value { a: u64 = 0; }\n';
const KEY = 'class Key { a: u64 = 0; }\n';

const REFUSED: [string, string, RegExp, number, number][] = [
  [
    'a key with a string',
    `class Key { a: u32 = 0; name: string = ''; }\n${VALUE}${OPEN}`,
    /Key.name is a String: tables hold numbers only/,
    3,
    25,
  ],
  [
    'a value with an array',
    `class Value {\n  a: u32 = 0;\n  list: u32[] = [];\n}\n${KEY}${OPEN}`,
    /Value.list is a Array<u32>/,
    5,
    3,
  ],
  [
    'a class in a class',
    `class Value { a: u32 = 0; key: Key = new Key(); }\n${KEY}${OPEN}`,
    /Value.key is a Key/,
    3,
    27,
  ],
  [
    'a float in a key',
    `class Key { a: u32 = 0; share: f32 = 0; }\n${VALUE}${OPEN}`,
    /Key.share is a f32: keys have no floats/,
    3,
    25,
  ],
  ['a class without fields', `class Key { }\n${VALUE}${OPEN}`, /Key has no fields/, 3, 7],
  [
    'a value whose method a subclass overrides',
    `class Value { a: u32 = 0; sum(): u32 { return this.a; } }
class More extends Value { sum(): u32 { return 2; } }
const more: Value = new More();
const sum = more.sum();
${KEY}${OPEN}`,
    /Value.sum is overridden/,
    3,
    27,
  ],
  ['a float as key', "HashTable.of<f64, u32>('t', 10);\n", /f64 can't be a key/, 1, 1],
  [
    'a string as key',
    "HashTable.of<string, u32>('t', 10);\n",
    /String can't be in a table: it is a reference/,
    1,
    1,
  ],
];

test.each(REFUSED)('%s is refused', async (_name, text, message, line, column) => {
  const { code, diagnostics } = await rejection(tables(text));
  expect(code).toBe('WIRELET_E_TABLE_TYPE');
  expect(diagnostics).toMatchObject([{ line, column }]);
  expect(diagnostics[0]?.message).toMatch(message);
  expect(diagnostics[0]?.file).toMatch(/^p\d+\/index.ts$/);
});

test('two classes of one name are refused unless they are alike', async () => {
  const text = (other: string) => {
    const home = tables(`import { open } from './other';\nclass Flow { packets: u64 = 0; }
HashTable.of<u32, Flow>('flows', 10);\nopen();\n`);
    const file = `${home.slice(home.lastIndexOf('/') + 1)}/other.ts`;
    write(
      file,
      `${TABLES}class Flow { ${other} }
export function open(): void { HashTable.of<u32, Flow>('others', 10); }\n`,
    );
    return home;
  };
  const { code, diagnostics } = await rejection(text('bytes: u64 = 0;'));
  expect(code).toBe('WIRELET_E_TABLE_TYPE');
  expect(diagnostics[0]?.message).toMatch(/Two classes are called Flow/);
  const { manifest } = await compile(text('packets: u64 = 0;'));
  expect(manifest?.tableTypes).toHaveLength(2);
});

test('a lookup allocates nothing, and nothing of it is unsafe to an author', async () => {
  const source = program(`${TABLES}class Key { a: u32 = 0; b: u16 = 0; }
class Value { packets: u64 = 0; }
const table = HashTable.of<Key, Value>('t', 10);
const numbers = HashTable.of<u32, u64>('n', 10);
const key = new Key();
const value = new Value();
export function onPacket(packet: Packet): Verdict {
  key.a = packet.hash;
  const found = table.getOrInsert(key);
  if (found != null) found.packets++;
  table.set(key, value);
  numbers.add(packet.hash, 1);
  return table.delete(key) && numbers.getOr(1, 0) == 0 ? Verdict.Drop : Verdict.Pass;
}
`);
  await expect(compile(source)).resolves.toMatchObject({ warnings: [] });
});
