/**
 * Twelve ways a new module is bad, on the command line, against an appliance that runs. What is
 * known before a packet is lost leaves the old generation as it is, instance and all; what shows on
 * packets only brings it back by itself. In the end every packet is accounted for.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from '@bytecodealliance/jco';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { conservation } from '../host/src/stats/conservation.js';
import type { Stats } from '../host/src/stats/stats.js';
import { jsonOf } from '../host/test/binary.js';
import { Running } from '../host/test/running.js';

const HERE = fileURLToPath(new URL('bad-modules/', import.meta.url));
const OTHERS = fileURLToPath(new URL('../host/test/programs/', import.meta.url));
const GALLERY = fileURLToPath(new URL('../programs/', import.meta.url));
const PACKET_WINDOW = 0x20_0000;

/** Two lcores with a generator and a sink each; `rate` is of one of them. */
function config(rate: string, more: object = {}): object {
  const generator = `gen:?rate=${rate}&ring=65536`;
  return {
    frames: 4096,
    lcores: 2,
    ports: { in0: generator, in1: generator, out0: 'sink:', out1: 'sink:' },
    forward: { in0: 'out0', in1: 'out1' },
    programs: { guard: { source: `${HERE}good`, ...more } },
  };
}

/** A module that was built elsewhere: with our exports, and with what `parts` say. */
async function moduleOf(file: string, parts: Record<string, string> = {}): Promise<string> {
  const { pages = '16385', abi = 'wirelet_abi_1', imports = '', onLoad = '' } = parts;
  const wat = `(module ${imports}
    (memory (export "memory") ${pages} ${pages})
    (func (export "${abi}"))
    (func (export "onBurst") (param i32))
    (func (export "onLoad") ${onLoad}))`;
  writeFileSync(file, await parse(wat));
  return file;
}

/** What the appliance printed at its end. */
function endOf({ output }: Running): { stats: Stats; counters: Record<string, number> } {
  const line = output.split('\n').find((each) => each.startsWith('{"schema":"wirelet.run/1"'));
  if (line === undefined) throw new Error(`no result:\n${output}`);
  return (JSON.parse(line) as { data: ReturnType<typeof endOf> }).data;
}

async function expectPacketsToGoOn(running: Running): Promise<void> {
  const packets = async () => (await running.status()).programs[0]?.packets ?? 0;
  const before = await packets();
  await expect.poll(packets, { timeout: 20_000 }).toBeGreaterThan(before);
}

/** The run is over: everything that came in has left or has a reason, and no frame is missing. */
function expectExact({ stats }: ReturnType<typeof endOf>): void {
  expect(conservation(stats)).toMatchObject({ exact: true });
  expect(stats.framesUsed).toBe(0);
  for (const lcore of ['0', '1']) {
    const { forwarded = 0, xstats: made = {} } = stats.ports[`in${lcore}`] ?? {};
    const { received, lost, reordered } = stats.ports[`out${lcore}`]?.xstats ?? {};
    expect({ received, reordered }).toEqual({ received: forwarded, reordered: 0 });
    expect(made.missed).toBe(0);
    const { dropped = 0 } = stats.ports[`in${lcore}`] ?? {};
    // Gaps that the sink saw are packets that were dropped; the last ones leave no gap.
    expect(lost).toBeLessThanOrEqual(dropped);
  }
}

describe('a module that is refused', () => {
  let running: Running;
  const built = (name: string) => join(running.folder, name);

  beforeAll(async () => {
    running = await Running.start(config('5k'), ['--json']);
    await moduleOf(built('abi.wasm'), { abi: 'wirelet_abi_2' });
    await moduleOf(built('imports.wasm'), { imports: '(import "wirelet" "exec" (func))' });
    await moduleOf(built('memory.wasm'), { pages: '16641' });
    const touch = `(i32.store (i32.const ${PACKET_WINDOW}) (i32.const 1))`;
    await moduleOf(built('touches.wasm'), { onLoad: touch });
    await moduleOf(built('fine.wasm'));
  });
  afterAll(async () => {
    await running.stop();
  });

  it.each([
    ['does not compile', () => `${OTHERS}broken`, 'PROGRAM_COMPILE'],
    ['traps in onLoad', () => `${HERE}traps-in-onload`, 'LOAD_TRAP'],
    ['never ends onLoad', () => `${OTHERS}endless-load`, 'LOAD_DEADLINE'],
    ['touches packets in onLoad', () => built('touches.wasm'), 'LOAD_TRAP'],
    ['was built for another ABI', () => built('abi.wasm'), 'MODULE_ABI'],
    ['has tables of another shape', () => `${HERE}other-table`, 'TABLE_SCHEMA'],
    ['wants more memory than there is', () => `${HERE}over-memory`, 'MODULE_MEMORY'],
    ['wants too much, built elsewhere', () => built('memory.wasm'), 'MODULE_MEMORY'],
    ['imports what is not offered', () => `${HERE}imports`, 'MODULE_IMPORT'],
    ['imports such, built elsewhere', () => built('imports.wasm'), 'MODULE_IMPORT'],
  ])('because it %s leaves the old one untouched', async (_name, source, code) => {
    await expectRefused(['swap', 'guard', source()], code);
  });

  it('because it differs in shadow leaves the old one untouched, and shows packets', async () => {
    const shadow = ['--shadow', '500ms', '--sample', '1'];
    const { stderr } = await expectRefused(
      ['swap', 'guard', `${GALLERY}drop`, ...shadow],
      'SHADOW_DIFFERS',
    );
    expect(stderr).toContain('198.18.');
  });

  async function expectRefused(args: string[], code: string) {
    const ended = await running.run(...args, '--json');
    expect(jsonOf(ended)).toMatchObject({
      schema: 'wirelet.error/1',
      data: { code: `WIRELET_E_${code}`, hint: expect.stringMatching(/\w/) },
    });
    expect(ended.status).toBe(4);
    expect(ended.stderr).toContain(`error[WIRELET_E_${code}]`);
    await expectPacketsToGoOn(running);
    const { generation, programs, changes, faults } = await running.status();
    expect({ generation, changes, faults }).toEqual({ generation: 1, changes: [], faults: [] });
    expect(programs).toMatchObject([
      { source: `${HERE}good`, health: 'running', faults: 0, rebuilds: 0 },
    ]);
    return ended;
  }

  it('has cost nothing, and one that is fine is taken', async () => {
    expect(await running.data('swap', 'guard', built('fine.wasm'), '--reset-state')).toMatchObject({
      change: { from: 1, to: 2 },
    });
    expect(await running.data('rollback')).toMatchObject({ to: 3 });
    await expectPacketsToGoOn(running);
    await running.kill('SIGINT');
    const end = endOf(running);
    expectExact(end);
    // `fine` decides nothing, and dropped what it got; nobody else dropped anything.
    const { drops, dropped } = end.stats.ports.in0 ?? {};
    expect(drops?.undecided).toBe(dropped);
    expect(end.stats.programs.guard?.faults).toBe(0);
    // One new instance on each lcore, after the rollback: all refused ones left the old in place.
    expect(end.counters['guard/replaced']).toBe(2);
  });
});

describe('a module that faults on packets', () => {
  let running: Running;
  afterEach(async () => {
    await running.stop();
  });

  it.each([
    ['traps at the first packet', `${HERE}traps-at-once`, 'PROGRAM_TRAP'],
    ['misses its deadline', `${OTHERS}spin`, 'PROGRAM_DEADLINE'],
  ])('because it %s is rolled back by itself', async (_name, source, code) => {
    running = await Running.start(config('5k'), ['--json']);
    await expectPacketsToGoOn(running);
    const swapped = await running.run('swap', 'guard', source, '--json');
    expect(swapped.status).toBe(0);
    const { drops, faults } = await expectRolledBack(code);
    // The packet of each fault, those behind it in its burst, and those that came before the next.
    expect(drops.fault).toBeGreaterThanOrEqual(faults);
    expect(drops.total).toBe(drops.fault + drops.program_down);
  });

  it('because it traps in the middle of a burst is, too; what was decided has left', async () => {
    running = await Running.start(config('max', { onFault: 'pass' }), ['--json']);
    await running.data('swap', 'guard', `${HERE}traps-midway`);
    const { drops, faults } = await expectRolledBack('PROGRAM_TRAP');
    // Packets in front of the tenth had their verdict, those behind it were untouched and pass.
    expect(drops).toMatchObject({ fault: faults, program_down: 0, total: faults });
  });

  /** Waits for the old program, ends the run, and adds up what it dropped. */
  async function expectRolledBack(code: string) {
    await expect.poll(async () => (await running.status()).generation, { timeout: 30_000 }).toBe(3);
    await expectPacketsToGoOn(running);
    const { changes, faults, programs } = await running.status();
    expect(changes).toMatchObject([
      { kind: 'rollback', from: 2, to: 3, automatic: true },
      { kind: 'swap', from: 1, to: 2 },
    ]);
    for (const fault of faults) {
      expect(fault).toMatchObject({ code: `WIRELET_E_${code}`, generation: 2 });
      expect(fault.place).toMatch(/index\.ts:\d+:\d+$/);
    }
    expect(programs).toMatchObject([{ source: `${HERE}good`, health: 'running' }]);
    await running.kill('SIGINT');
    const end = endOf(running);
    const { stats, counters } = end;
    expectExact(end);
    const { guard } = stats.programs;
    expect(guard?.faults).toBeGreaterThanOrEqual(3);
    expect(stats).toMatchObject({ generation: 3, faults: guard?.faults });
    expect(counters['guard/replaced']).toBe(2);
    const sum = (name: 'fault' | 'program_down') =>
      (stats.ports.in0?.drops[name] ?? 0) + (stats.ports.in1?.drops[name] ?? 0);
    const total = (stats.ports.in0?.dropped ?? 0) + (stats.ports.in1?.dropped ?? 0);
    const drops = { fault: sum('fault'), program_down: sum('program_down'), total };
    return { drops, faults: guard?.faults ?? 0 };
  }
});
