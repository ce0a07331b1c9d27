import { describe, expect, it, vi } from 'vitest';
import { testProgram, udp } from '../../src/test/index.js';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000 });

const FLOWS = new URL('../programs/flows', import.meta.url);
const OTHER = new URL('../programs/flows-other', import.meta.url);

const one = udp({ from: '10.0.0.1', to: '192.0.2.1' });
const two = udp({ from: '10.0.0.2', to: '192.0.2.1' });
const KEY = { source: '10.0.0.1', destination: '192.0.2.1' };

describe('tables of a program under test', () => {
  it('are read by fields', async () => {
    const program = await testProgram(FLOWS);
    const flows = program.table('flows');
    expect(flows.get(KEY)).toBeUndefined();
    expect(flows.entries).toEqual([]);
    program.send([one, two, one]);
    expect(flows.get(KEY)).toEqual({ packets: 2, bytes: 120 });
    expect(flows.entries).toHaveLength(2);
    expect(flows.entries).toContainEqual({
      key: { source: 0x0a000002, destination: 0xc0000201 },
      value: { packets: 1, bytes: 60 },
    });
    expect(program.table('marks').get(0)).toBe(3);
  });

  it('are written between bursts, shared ones too', async () => {
    const program = await testProgram(FLOWS);
    program.table('flows').set(KEY, { packets: 7, bytes: 0 });
    expect(program.send(one)).toPass();
    expect(program.table('flows').get(KEY)).toEqual({ packets: 8, bytes: 60 });
    program.table('limits').set('10.0.0.1', 100);
    expect(program.send([one, two])).toBecome(['drop', two]);
    expect(program.table('limits').delete('10.0.0.1')).toBe(true);
    expect(program.table('limits').delete('10.0.0.1')).toBe(false);
    expect(program.send(one)).toPass();
    program.table('routes').set('192.0.2.0/24', 5);
    expect(program.table('routes').get('192.0.2.99')).toBe(5);
    expect(program.send(one).mark).toBe(5);
  });

  it('begin empty after a reset, for those who hold them too', async () => {
    const program = await testProgram(FLOWS);
    const flows = program.table('flows');
    program.send(one);
    program.reset();
    expect(flows.entries).toEqual([]);
    program.send(one);
    expect(flows.entries).toHaveLength(1);
  });

  it('that are not there, and values that do not fit, are coded errors', async () => {
    const program = await testProgram(FLOWS);
    expect(() => program.table('flow')).toThrow('flows has no table "flow" — did you mean "flows"');
    const flows = program.table('flows');
    expect(() => flows.get({ source: 1 })).toThrow('`destination` is missing');
    expect(() => flows.set(KEY, { packets: -1, bytes: 0 })).toThrow('-1 is not from 0 to');
  });
});

describe('a swap of a program under test', () => {
  it('keeps counters and tables, and makes tables larger', async () => {
    const program = await testProgram(FLOWS, { settings: { capacity: 16 } });
    program.table('limits').set('10.0.0.1', 1);
    program.send([one, two]);
    await program.swap(FLOWS, { settings: { capacity: 4096 } });
    expect(program.table('flows').get(KEY)).toEqual({ packets: 1, bytes: 60 });
    expect(program.send([one, two])).toBecome(['drop', two]);
    expect(program.table('flows').get(KEY)).toEqual({ packets: 2, bytes: 120 });
    expect(program.counters).toEqual({ limited: 2 });
    const many = Array.from({ length: 3000 }, (_, index) =>
      udp({ from: `10.1.${index >> 8}.${index & 255}` }),
    );
    program.sendAll(many, { burst: 256 });
    expect(program.table('flows').entries).toHaveLength(3002);
  });

  it('is refused when a table has another shape; the old program goes on', async () => {
    const program = await testProgram(FLOWS);
    program.send(one);
    await expect(program.swap(OTHER)).rejects.toMatchObject({ code: 'WIRELET_E_TABLE_SCHEMA' });
    program.send(one);
    expect(program.table('flows').get(KEY)).toEqual({ packets: 2, bytes: 120 });
  });

  it('of a faulted instance works, too', async () => {
    const trap = await testProgram(new URL('../programs/trap', import.meta.url), {
      settings: { length: 61 },
    });
    expect(() => trap.send(udp({ pad: 61 }))).toThrow('outside the packet');
    await trap.swap(new URL('../programs/trap', import.meta.url), { settings: { length: 62 } });
    expect(trap.send(udp({ pad: 61 }))).toPass();
    expect(trap.counters).toEqual({ seen: 2 });
  });
});
