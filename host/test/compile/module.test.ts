import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BURST_HEADER_COUNT, BURST_PAGE, MANIFEST_SECTION } from '../../src/abi.js';
import { checkModule } from '../../src/compile/check.js';
import { disassemble } from '../../src/compile/component.js';
import { inspectModule } from '../../src/compile/inspect.js';
import { readManifest } from '../../src/compile/manifest.js';
import { mapTrap } from '../../src/compile/source-map.js';
import { callsOf } from '../../src/compile/wasm-code.js';
import { appendCustomSection, readModule } from '../../src/compile/wasm-module.js';
import { WireletError } from '../../src/error.js';
import { compile, folder, PASS, program } from './workshop.js';

/** The part of the global that is used; its types come with a browser's library only. */
declare const WebAssembly: {
  Module: new (wasm: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: object };
};

const EMPTY = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

/** The code that something throws; anything else than a coded error fails the test. */
function codeOf(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof WireletError) return error.code;
    throw error;
  }
}

/** Runs a module on one packet in V8 and returns the offset where it trapped. */
function trapOffset(wasm: Uint8Array): number {
  const module = new WebAssembly.Module(wasm);
  const imports = { wirelet: { abort: () => {}, log: () => {}, counter: () => 0 } };
  const { exports } = new WebAssembly.Instance(module, imports);
  const { memory, onBurst, _initialize } = exports as {
    memory: { buffer: ArrayBuffer };
    onBurst: (burst: number) => void;
    _initialize?: () => void;
  };
  _initialize?.();
  new DataView(memory.buffer).setUint32(BURST_PAGE + BURST_HEADER_COUNT, 1, true);
  try {
    onBurst(BURST_PAGE);
  } catch (error) {
    const offset = /wasm-function\[\d+\]:0x([0-9a-f]+)/.exec((error as Error).stack ?? '')?.[1];
    if (offset) return Number.parseInt(offset, 16);
  }
  throw new Error('it did not trap');
}

test('a trap in V8 maps to the line of TypeScript, the sections behind included', async () => {
  const source = program(`function divide(n: i32, by: i32): i32 {
  let sum = n;
  for (let i = 0; i < n + 1; i++) sum += i;
  return sum / by;
}
export function onPacket(packet: Packet): Verdict {
  packet.mark = divide(packet.mark, packet.port);
  return Verdict.Pass;
}
`);
  const { wasm, sourceMap } = await compile(source);
  const file = `${source.slice(folder.length + 1)}/index.ts`;
  const place = mapTrap(sourceMap ?? '', trapOffset(wasm), folder);
  expect(place).toEqual({ file, line: 5, column: 10 });
  expect(mapTrap('{}', 1)).toBeNull();
  expect(mapTrap('no json', 1)).toBeNull();
});

test('inspection shows what the build put into the module', async () => {
  const { wasm, manifest } = await compile(program(PASS));
  const report = await inspectModule(wasm);
  expect(report.manifest).toEqual(manifest);
  expect(report.sections.map(({ name }) => name).slice(-2)).toEqual([
    expect.stringMatching(/^component-type/),
    MANIFEST_SECTION,
  ]);
  expect(report.memory).toEqual({
    initialPages: 16_400,
    maximumPages: 16_400,
    ownBytes: 16 * 65_536,
  });
  expect(report.functions.defined).toBeGreaterThan(0);
  expect(report.wit).toContain('describe: func() -> manifest');
  expect(await disassemble(wasm)).toContain('(export "onBurst"');
});

test('a module without a manifest has none; one that lies is a coded error', () => {
  expect(readManifest(readModule(EMPTY))).toBeNull();
  const hostile = [
    '',
    'no json',
    '[]',
    'null',
    '{"name":1}',
    '{"__proto__":{"name":"x"}}',
    JSON.stringify({ name: 'x'.repeat(300_000) }),
    '['.repeat(100_000),
    '\ud800',
  ];
  for (const text of hostile) {
    const wasm = appendCustomSection(EMPTY, MANIFEST_SECTION, new TextEncoder().encode(text));
    expect(codeOf(() => readManifest(readModule(wasm)))).toBe('WIRELET_E_MODULE_ABI');
  }
  const invalid = appendCustomSection(EMPTY, MANIFEST_SECTION, Uint8Array.of(0xff, 0xfe));
  expect(codeOf(() => readManifest(readModule(invalid)))).toBe('WIRELET_E_MODULE_ABI');
});

test('bytes that are no module are a coded error, whatever they are', async () => {
  const { wasm } = await compile(program(PASS));
  const codes = /^WIRELET_E_MODULE_/;
  const read = (bytes: Uint8Array) =>
    codeOf(() => {
      const module = readModule(bytes);
      for (const body of module.bodies) callsOf(module, body);
      readManifest(module);
      checkModule(module);
    });
  expect(read(wasm)).toBeNull();
  expect(read(new Uint8Array())).toBe('WIRELET_E_MODULE_NOT_WASM');
  expect(read(new Uint8Array(5_000_000).fill(1))).toBe('WIRELET_E_MODULE_NOT_WASM');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (tail) => {
      expect(read(Uint8Array.from([...EMPTY, ...tail]))).toMatch(codes);
    }),
  );
  const change = fc.tuple(fc.nat(wasm.length - 1), fc.nat(255));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), fc.boolean(), (changes, cut) => {
      const bytes = cut ? wasm.slice(0, changes[0]?.[0]) : wasm.slice();
      for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
      const code = read(bytes);
      if (code !== null) expect(code).toMatch(codes);
    }),
    { numRuns: 500 },
  );
});

/** A module of raw sections. */
const module = (...sections: number[][]) => Uint8Array.from([...EMPTY, ...sections.flat()]);
const TYPE = [1, 4, 1, 0x60, 0, 0];
const FUNCTION = [3, 2, 1, 0];
/** A code section with one function of no locals. */
const code = (...instructions: number[]) => {
  return [10, instructions.length + 4, 1, instructions.length + 2, 0, ...instructions, 0x0b];
};

test.each<[string, Uint8Array, string]>([
  ['a start function', module(TYPE, FUNCTION, [8, 1, 0], code()), 'WIRELET_E_MODULE_START'],
  ['an import', module(TYPE, [2, 7, 1, 1, 0x65, 1, 0x66, 0, 0]), 'WIRELET_E_MODULE_IMPORT'],
  ['nothing exported', module(TYPE, FUNCTION, code()), 'WIRELET_E_MODULE_ABI'],
  ['a 64-bit memory', module([5, 3, 1, 4, 1]), 'WIRELET_E_MODULE_FEATURE'],
  ['a passive element', module([9, 2, 1, 1]), 'WIRELET_E_MODULE_FEATURE'],
  ['a struct type', module([1, 3, 1, 0x5f, 0]), 'WIRELET_E_MODULE_FEATURE'],
])('%s is refused', (_name, wasm, expected) => {
  expect(codeOf(() => checkModule(readModule(wasm)))).toBe(expected);
});

test.each<[string, number[]]>([
  ['memory.copy', [0xfc, 10, 0, 0]],
  ['a tail call', [0x12, 0]],
  ['ref.null', [0xd0, 0x70]],
  ['an atomic', [0xfe, 0x10, 2, 0]],
  ['relaxed SIMD', [0xfd, 0x80, 0x02]],
  ['a throw', [0x08, 0]],
])('%s is no allowed instruction', (_name, instructions) => {
  const read = readModule(module(TYPE, FUNCTION, code(...instructions)));
  const [body] = read.bodies;
  if (!body) throw new Error('no body');
  expect(codeOf(() => callsOf(read, body))).toBe('WIRELET_E_MODULE_FEATURE');
});
