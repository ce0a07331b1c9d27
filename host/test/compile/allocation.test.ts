import { expect, test } from 'vitest';
import { compile, program, rejection } from './workshop.js';

const HEAD = 'export function onPacket(packet: Packet): Verdict {\n';
const TAIL = '\n  return Verdict.Pass;\n}\n';

/** A handler around a line 3. */
const handler = (line: string, above = '') => program(`${above}${HEAD}  ${line}${TAIL}`);

const REJECTED: [string, string, string, RegExp, string][] = [
  [
    'an array literal',
    '',
    'const a = [packet.length, 2]; packet.mark = a[1];',
    /array literal/,
    '[',
  ],
  ['new', 'class Point { x: i32 = 1; } ', 'packet.mark = new Point().x;', /new Point/, 'new'],
  ['new of a Map', '', 'packet.mark = new Map<u32, u32>().size;', /new Map<u32,u32>/, 'new'],
  ['joining strings', '', "packet.mark = ('a' + packet.length.toString()).length;", /./, "'"],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the guest's template.
  ['a template string', '', 'packet.mark = `len ${packet.length}`.length;', /./, '`'],
  [
    'Map.set',
    'const seen = new Map<u32, u32>(); ',
    'seen.set(packet.hash, 1);',
    /Map<u32,u32>#set` may allocate/,
    'seen.set',
  ],
  ['Array.push', 'const list: u32[] = []; ', 'list.push(packet.hash);', /#push`/, 'list'],
  ['an array that may grow', 'const list: u32[] = []; ', 'list[packet.length] = 1;', /./, 'list'],
  [
    'a StaticArray that is made',
    '',
    'packet.mark = new StaticArray<u32>(4)[0];',
    /StaticArray/,
    'new',
  ],
];

test.each(REJECTED)('%s in onPacket is rejected', async (_name, above, line, message, at) => {
  const { code, diagnostics } = await rejection(handler(line, above));
  expect(code).toBe('WIRELET_E_PROGRAM_ALLOCATES');
  expect(diagnostics).toHaveLength(1);
  const [found] = diagnostics;
  expect(found?.message).toMatch(message);
  expect(found?.file).toMatch(/^p\d+\/index.ts$/);
  expect(found?.line).toBe(3);
  expect(found?.column).toBe(`  ${line}`.indexOf(at) + 1);
  expect(found?.frame).toContain('^');
});

test('the chain is named from the handler to the allocator', async () => {
  const { diagnostics } = await rejection(
    program(`function deep(n: i32): i32 {
  return [n, n].length;
}
function shallow(n: i32): i32 {
  return deep(n) + 1;
}
${HEAD}  packet.mark = shallow(packet.length);${TAIL}`),
  );
  expect(diagnostics).toMatchObject([{ line: 3, column: 10 }]);
  expect(diagnostics[0]?.message).toContain('onPacket → shallow → deep → __newArray');
});

test('every place is reported, once', async () => {
  const { diagnostics } = await rejection(
    handler('const a = [packet.length]; const b = [packet.length, a[0]]; packet.mark = b[0];'),
  );
  expect(diagnostics.map(({ line, column }) => [line, column])).toEqual([
    [3, 13],
    [3, 40],
  ]);
});

test('an allocation behind an indirect call is found', async () => {
  const { code, diagnostics } = await rejection(
    program(`type Handler = (n: i32) => i32;
const handlers = new StaticArray<Handler>(1);
handlers[0] = (n: i32): i32 => [n].length;
${HEAD}  packet.mark = handlers[0](packet.length);${TAIL}`),
  );
  expect(code).toBe('WIRELET_E_PROGRAM_ALLOCATES');
  expect(diagnostics).toMatchObject([{ line: 4, column: 32 }]);
});

test('an allocation in inlined code is laid to the line that inlines it', async () => {
  const { diagnostics } = await rejection(
    program(`class Box { x: i32 = 0; }
@inline function make(): Box {
  return new Box();
}
${HEAD}  packet.mark = make().x;${TAIL}`),
  );
  expect(diagnostics).toMatchObject([{ line: 4, column: 10 }]);
});

test('onBurst is held to the same', async () => {
  const { code, diagnostics } = await rejection(
    program(`export function onBurst(burst: Burst): void {
  const lengths = new Array<i32>();
}
`),
  );
  expect(code).toBe('WIRELET_E_PROGRAM_ALLOCATES');
  expect(diagnostics).toMatchObject([{ line: 3, column: 19 }]);
});

const ALLOWED: [string, string][] = [
  [
    'allocation at the top level and in onLoad',
    `class Point { x: i32 = 1; }
const point = new Point();
const seen = new Map<u32, u32>();
const names: string[] = [];
export function onLoad(): void {
  seen.set(1, 2);
  names.push('a' + point.x.toString());
}
${HEAD}  packet.mark = seen.has(packet.hash) ? point.x : names.length;${TAIL}`,
  ],
  [
    'static arrays',
    `const ports: StaticArray<u16> = [53, 5353];
const more: u16[] = [1, 2];
${HEAD}  packet.mark = ports[packet.length & 1] + more[packet.length & 1];${TAIL}`,
  ],
  [
    'abort and assert with a static message',
    `${HEAD}  assert(packet.length > 0, 'empty');
  if (packet.length > 9000) abort('too long');
  if (packet.length > 8000) throw new Error('long');${TAIL}`,
  ],
  ['a constant string', `${HEAD}  log('hello');${TAIL}`],
];

test.each(ALLOWED)('%s: allowed', async (_name, text) => {
  await expect(compile(program(text))).resolves.toMatchObject({ cached: false });
});
