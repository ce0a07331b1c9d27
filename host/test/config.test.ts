import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defineConfig } from '../src/config/define.js';
import { loadConfig } from '../src/config/load.js';
import { type ResolveOptions, resolveConfig } from '../src/config/resolve.js';
import type { WireletConfig } from '../src/config/schema.js';
import { WireletError } from '../src/error.js';
import { editDistance, suggest } from '../src/suggest.js';
import { errorOf } from './error-of.js';

const MINIMAL = { ports: { in: 'gen:?count=10', out: 'sink:' }, forward: { in: 'out' } };

function resolved(config: unknown, options: ResolveOptions = {}) {
  return resolveConfig(config, { directory: '/app', env: {}, ...options });
}

/** Of a port. */
const NO_RULES = { rules: [], offload: 'auto' };

describe('what a config becomes', () => {
  it('has a default for everything but the ports', () => {
    expect(resolved({ ports: { a: 'null:' } })).toEqual({
      name: 'app',
      lcores: [-1],
      burst: 64,
      idle: 'adaptive',
      frames: 16384,
      frameBytes: 2240,
      hugepages: true,
      ports: [
        { name: 'a', device: 'null:', queues: 1, forward: -1, punt: -1, pipeline: [], ...NO_RULES },
      ],
      programs: [],
      stateDirectory: '',
      rollback: { faults: 3, windowMs: 10_000 },
      socket: undefined,
      faults: { directory: undefined, filesMax: 100 },
    });
  });

  it('looks through wrappers and makes their files absolute too', () => {
    const specs = {
      'fault(loss=1%,seed=7):tap:a?mtu=900': 'fault(loss=1%,seed=7):tap:a?mtu=900',
      'capture(snap=99,file=b.pcapng):trace:pcap:a.pcap,':
        'capture(snap=99,file=/app/b.pcapng):trace:pcap:/app/a.pcap,',
      'trace(file=/t):af_packet:eth0?ring=64': 'trace(file=/t):af_packet:eth0?ring=64',
      'dpdk:net_pcap0,rx_pcap=a.pcap,tx_pcap=/b.pcap?rxd=64':
        'dpdk:net_pcap0,rx_pcap=/app/a.pcap,tx_pcap=/b.pcap?rxd=64',
      'dpdk:0000:01:00.0': 'dpdk:0000:01:00.0',
      "trace(filter='a, (b)',file=t):capture(file=\"c,(d).pcapng\",filter='x'):tap:a":
        "trace(filter='a, (b)',file=/app/t):capture(file=\"/app/c,(d).pcapng\",filter='x'):tap:a",
      'trace(filter=ip[8]=1,file=t):tap:a': 'trace(filter=ip[8]=1,file=/app/t):tap:a',
      // The wrapper's own to refuse.
      'fault(loss=1%:null:': 'fault(loss=1%:null:',
    };
    for (const [spec, expected] of Object.entries(specs)) {
      expect(resolved({ ports: { a: spec } }).ports[0]?.device).toBe(expected);
    }
  });

  it('turns names into numbers and makes paths absolute', () => {
    const config: WireletConfig = {
      ports: {
        in: { device: 'pcap:a.pcap,out/b.pcap?loop', pipeline: ['count', 'guard'], punt: 'tap' },
        out: 'pcap:,/abs.pcap',
        tap: 'null:',
      },
      forward: { in: 'out' },
      punt: { out: 'tap' },
      programs: {
        guard: { source: './programs/guard', deadlineMs: 5, onFault: 'pass', redirectTo: ['tap'] },
        count: './count.ts',
      },
    };
    const { ports, programs } = resolved(config);
    expect(ports).toEqual([
      {
        name: 'in',
        device: 'pcap:/app/a.pcap,/app/out/b.pcap?loop',
        queues: 1,
        forward: 1,
        punt: 2,
        pipeline: [1, 0],
        ...NO_RULES,
      },
      {
        name: 'out',
        device: 'pcap:,/abs.pcap',
        queues: 1,
        forward: -1,
        punt: 2,
        pipeline: [0, 1],
        ...NO_RULES,
      },
      {
        name: 'tap',
        device: 'null:',
        queues: 1,
        forward: -1,
        punt: -1,
        pipeline: [0, 1],
        ...NO_RULES,
      },
    ]);
    expect(programs).toMatchObject([
      { name: 'guard', source: '/app/programs/guard', deadlineNs: 5e6, redirectTo: [2] },
      { name: 'count', source: '/app/count.ts', deadlineNs: 1e7, onFault: 'drop' },
    ]);
  });

  it('what one port alone punts to sends back by it, unless it is said otherwise', () => {
    const ways = (config: Omit<WireletConfig, 'ports'>) => {
      const ports = { lan: 'null:', wan: 'null:', host: 'null:' };
      return resolved({ ports, ...config }).ports.map(({ forward, punt }) => [forward, punt]);
    };
    const forward = { lan: 'wan', wan: 'lan' };
    const [lan, wan, host, none] = [0, 1, 2, -1];
    const punt = { lan: 'host' };
    expect(ways({ forward, punt })[host]).toEqual([lan, lan]);
    expect(ways({ forward: { ...forward, host: 'wan' }, punt })[host]).toEqual([wan, lan]);
    expect(ways({ forward, punt: { lan: 'host', host: 'wan' } })[host]).toEqual([lan, wan]);
    // Which of the two would it be?
    expect(ways({ forward, punt: { lan: 'host', wan: 'host' } })[host]).toEqual([none, none]);
    // A port like others.
    const forwarded = { lan: 'wan', wan: 'host' };
    expect(ways({ forward: forwarded, punt })[host]).toEqual([none, none]);
    expect(ways({ punt: { lan: 'lan' } })[lan]).toEqual([none, lan]);
  });

  it('a port has the pipeline of the config, or its own', () => {
    const ports = { in: 'null:', out: { device: 'null:', pipeline: [] } };
    const programs = { a: './a', b: './b' };
    const { ports: resolvedPorts } = resolved({ ports, programs, pipeline: ['b'] });
    expect(resolvedPorts.map(({ pipeline }) => pipeline)).toEqual([[1], []]);
  });

  it('what lies outside of the packets has paths relative to the config', () => {
    const kept = resolved({
      ...MINIMAL,
      state: { persist: true },
      control: { socket: 'run/app.sock' },
      faults: { directory: 'faults', filesMax: 5 },
      rollback: { faults: 0 },
    });
    expect(kept).toMatchObject({
      stateDirectory: '/dev/shm/wirelet-app',
      socket: '/app/run/app.sock',
      faults: { directory: '/app/faults', filesMax: 5 },
      rollback: { faults: 0, windowMs: 10_000 },
    });
    const state = { persist: true, directory: '/mnt/state' };
    expect(resolved({ ...MINIMAL, state }).stateDirectory).toBe('/mnt/state');
    expect(resolved({ ...MINIMAL, state: { directory: '/x' } }).stateDirectory).toBe('');
    expect(resolved({ ...MINIMAL, control: { socket: false } }).socket).toBe(false);
    expect(resolved(MINIMAL, { directory: '/' }).name).toBe('wirelet');
  });

  it('flags are stronger than the environment, that is stronger than the file', () => {
    const config = { ...MINIMAL, lcores: [3], burst: 8, idle: 'poll', frames: 1024 };
    const env = { WIRELET_LCORES: '2', WIRELET_BURST: '16', WIRELET_IDLE: '' };
    expect(resolved(config)).toMatchObject({ lcores: [3], burst: 8, idle: 'poll' });
    expect(resolved(config, { env })).toMatchObject({ lcores: [-1, -1], burst: 16, idle: 'poll' });
    expect(resolved(config, { env, flags: { burst: 32 } })).toMatchObject({ burst: 32 });
    expect(errorOf(() => resolved(config, { env: { WIRELET_LCORES: 'x' } })).message).toContain(
      'WIRELET_LCORES: "x" is neither',
    );
  });
});

describe('what is wrong with a config is said with its place', () => {
  const CASES: [string, unknown, string, string][] = [
    [
      'a driver that does not exist',
      { ports: { a: { device: 'pcpa:x' } } },
      'WIRELET_E_CONFIG_UNKNOWN_DEVICE',
      'ports.a.device: unknown driver "pcpa" — did you mean "pcap"?',
    ],
    [
      'the same, in the short form',
      { ports: { a: 'ggen:' } },
      'WIRELET_E_CONFIG_UNKNOWN_DEVICE',
      'ports.a: unknown driver "ggen" — did you mean "gen"?',
    ],
    [
      'a wrapper that does not exist',
      { ports: { a: 'falt(loss=1%):null:' } },
      'WIRELET_E_CONFIG_UNKNOWN_DEVICE',
      'ports.a: unknown driver "falt" — did you mean "fault"?',
    ],
    [
      'a driver inside a wrapper',
      { ports: { a: 'trace:tapp:x' } },
      'WIRELET_E_CONFIG_UNKNOWN_DEVICE',
      'ports.a: unknown driver "tapp" — did you mean "tap"?',
    ],
    [
      'a key at the top',
      { ...MINIMAL, progams: {} },
      'WIRELET_E_CONFIG_UNKNOWN_KEY',
      'progams: unknown key — did you mean "programs"?',
    ],
    [
      'a key of a port',
      { ports: { a: { device: 'null:', quues: 2 } } },
      'WIRELET_E_CONFIG_UNKNOWN_KEY',
      'ports.a.quues: unknown key — did you mean "queues"?',
    ],
    [
      'a key of a program',
      { ...MINIMAL, programs: { p: { source: 'x', deadlineMS: 2 } } },
      'WIRELET_E_CONFIG_UNKNOWN_KEY',
      'programs.p.deadlineMS: unknown key — did you mean "deadlineMs"?',
    ],
    [
      'a port in forward',
      { ports: { in: 'null:', out: 'null:' }, forward: { in: 'otu' } },
      'WIRELET_E_CONFIG_UNKNOWN_PORT',
      'forward.in: unknown port "otu" — did you mean "out"?',
    ],
    [
      'a port that forward starts at',
      { ports: { out: 'null:' }, forward: { zzz: 'out' } },
      'WIRELET_E_CONFIG_UNKNOWN_PORT',
      'forward.zzz: unknown port "zzz"',
    ],
    [
      'a port in punt',
      { ports: { in: { device: 'null:', punt: 'x' } } },
      'WIRELET_E_CONFIG_UNKNOWN_PORT',
      'ports.in.punt: unknown port "x"',
    ],
    [
      'a port in redirectTo',
      { ...MINIMAL, programs: { p: { source: 'x', redirectTo: ['in', 'ot'] } } },
      'WIRELET_E_CONFIG_UNKNOWN_PORT',
      'programs.p.redirectTo[1]: unknown port "ot" — did you mean "out"?',
    ],
    [
      'a program in a pipeline',
      { ...MINIMAL, programs: { guard: 'x' }, pipeline: ['gaurd'] },
      'WIRELET_E_CONFIG_UNKNOWN_PROGRAM',
      'pipeline[0]: unknown program "gaurd" — did you mean "guard"?',
    ],
    ['a burst', { ...MINIMAL, burst: 257 }, 'WIRELET_E_CONFIG_LIMIT', 'burst: must be at most 256'],
    [
      'a CPU',
      { ...MINIMAL, lcores: [0, -1] },
      'WIRELET_E_CONFIG_LIMIT',
      'lcores[1]: must be at least 0',
    ],
    [
      'no lcores',
      { ...MINIMAL, lcores: [] },
      'WIRELET_E_CONFIG_LIMIT',
      'lcores: must have entries',
    ],
    [
      'a CPU twice',
      { ...MINIMAL, lcores: [1, 1] },
      'WIRELET_E_CONFIG_INVALID',
      'lcores[1]: CPU 1 stands twice',
    ],
    [
      'a frame size',
      { ...MINIMAL, frameBytes: 2241 },
      'WIRELET_E_CONFIG_LIMIT',
      'frameBytes: must be a multiple of 64',
    ],
    [
      'a choice',
      { ...MINIMAL, idle: 'adaptve' },
      'WIRELET_E_CONFIG_INVALID',
      'idle: "adaptve" is not "adaptive" or "poll" — did you mean "adaptive"?',
    ],
    [
      'a type',
      { ports: { a: 7 } },
      'WIRELET_E_CONFIG_INVALID',
      'ports.a: expected string or object',
    ],
    ['no ports', { ports: {} }, 'WIRELET_E_CONFIG_INVALID', 'ports: there must be at least one'],
    ['ports missing', {}, 'WIRELET_E_CONFIG_INVALID', 'ports: expected record, received undefined'],
    ['a name', { ports: { 'a b': 'null:' } }, 'WIRELET_E_CONFIG_INVALID', 'ports.a b: a name has'],
    ['no object', 'gen:', 'WIRELET_E_CONFIG_INVALID', 'expected object, received string'],
    [
      'too many programs in a pipeline',
      { ...MINIMAL, programs: { p: 'x' }, pipeline: Array.from({ length: 17 }, () => 'p') },
      'WIRELET_E_CONFIG_LIMIT',
      'pipeline: must have entries at most 16',
    ],
  ];

  it.each(CASES)('%s', (_name, config, code, message) => {
    const error = errorOf(() => resolved(config));
    expect(error.message).toContain(message);
    expect(error.code).toBe(code);
    expect(error.exitStatus).toBe(3);
  });

  it('everything that is wrong is said at once', () => {
    const error = errorOf(() => resolved({ ports: { a: 'pcpa:', b: 'x:' }, forward: { a: 'c' } }));
    expect(error.message.split('\n')).toHaveLength(3);
  });

  it('no value whatever ends in anything but a coded error', () => {
    const keyed = fc.dictionary(fc.string(), fc.anything());
    const shaped = fc.record(
      {
        ports: fc.oneof(keyed, fc.anything()),
        forward: fc.oneof(keyed, fc.anything()),
        programs: fc.oneof(keyed, fc.anything()),
        lcores: fc.anything(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(fc.anything(), shaped), (value) => {
        try {
          resolved(value);
        } catch (error) {
          if (!(error instanceof WireletError)) throw error;
          expect(error.exitStatus).toBe(3);
          expect(error.message).not.toBe('');
        }
      }),
    );
  });
});

describe('config files', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'wirelet-config-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const write = (name: string, text: string) => writeFileSync(join(directory, name), text);

  it('TypeScript finds `wirelet` from any folder', async () => {
    write(
      'wirelet.config.ts',
      `import { defineConfig } from 'wirelet';
       const burst: number = 16;
       export default defineConfig({ burst, ports: { a: 'null:' } });`,
    );
    const loaded = await loadConfig(directory);
    expect(loaded.config.burst).toBe(16);
    expect(loaded.directory).toBe(directory);
  });

  it('a function is told command and mode; a promise is awaited', async () => {
    write(
      'wirelet.config.mjs',
      `export default async ({ command, mode }) =>
         ({ ports: { [command]: 'null:', [mode]: 'null:' } });`,
    );
    const { config } = await loadConfig(directory, { command: 'check', mode: 'blue' });
    expect(Object.keys(config.ports)).toEqual(['check', 'blue']);
    write('promise.js', `export default Promise.resolve({ ports: { p: 'null:' } });`);
    const other = await loadConfig(join(directory, 'promise.js'));
    expect(Object.keys(other.config.ports)).toEqual(['p']);
  });

  it('JSON is read, and what does not parse is named', async () => {
    write('wirelet.config.json', '{ "ports": { "a": "null:" } }');
    expect((await loadConfig(directory)).config).toEqual({ ports: { a: 'null:' } });
    write('bad.json', '{');
    await expect(loadConfig(join(directory, 'bad.json'))).rejects.toThrow('bad.json');
  });

  it.each([
    ['does not parse', 'export default {', 'WIRELET_E_CONFIG_INVALID'],
    ['throws', 'throw new Error("at home")', 'WIRELET_E_CONFIG_INVALID'],
    ['throws when called', 'export default () => { throw 7 }', 'WIRELET_E_CONFIG_INVALID'],
    ['exports nothing', '', 'WIRELET_E_CONFIG_INVALID'],
    ['has a typo', 'export default { prots: {} }', 'WIRELET_E_CONFIG_UNKNOWN_KEY'],
  ])('a file that %s is a coded error', async (_name, text, code) => {
    write('wirelet.config.ts', text);
    await expect(loadConfig(directory)).rejects.toMatchObject({ code });
  });

  it('no file is an error that says which names were looked for', async () => {
    await expect(loadConfig(directory)).rejects.toMatchObject({
      code: 'WIRELET_E_CONFIG_NOT_FOUND',
      message: expect.stringContaining('wirelet.config.ts, .js, .mjs or .json'),
    });
    await expect(loadConfig(join(directory, 'x.ts'))).rejects.toThrow('there is no');
  });

  it('defineConfig hands on what it is given', () => {
    expect(defineConfig({ ports: {} })).toEqual({ ports: {} });
  });
});

describe('suggestions', () => {
  it('counts slips: letters missing, too many, wrong, swapped', () => {
    expect(editDistance('pcpa', 'pcap')).toBe(1);
    expect(editDistance('', 'abc')).toBe(3);
    expect(editDistance('kitten', 'sitting')).toBe(3);
    expect(suggest('xyz', ['pcap', 'gen'])).toBeUndefined();
  });
});
