import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { jsonOf, wirelet } from './binary.js';
import { Running } from './running.js';

const GALLERY = fileURLToPath(new URL('../../programs/', import.meta.url));
const PROGRAMS = fileURLToPath(new URL('./programs/', import.meta.url));

const PORTS = { in: 'gen:?rate=20k&ring=65536&protocols=udp,dns&flows=4', out: 'sink:' };
const GUARD = { source: `${GALLERY}dnsguard`, settings: { blocked: ['none.example'] } };
const BASE = {
  frames: 2048,
  ports: PORTS,
  forward: { in: 'out' },
  programs: { guard: GUARD, count: `${GALLERY}count` },
};

describe('verbs that change programs', () => {
  let running: Running;
  beforeAll(async () => {
    running = await Running.start(BASE);
  });
  afterAll(async () => {
    await running.stop();
  });

  const socket = () => join(running.folder, 'wirelet', `${basename(running.folder)}.sock`);

  it('the socket is for owner and group', () => {
    expect(lstatSync(socket()).mode & 0o777).toBe(0o660);
  });

  it('status shows programs, lcores and the socket', async () => {
    const data = await running.data('status');
    expect(data).toMatchObject({
      name: basename(running.folder),
      socket: socket(),
      generation: 1,
      ports: [
        { name: 'in', link: 'up', finished: false },
        { name: 'out', link: 'up' },
      ],
      programs: [
        { tenant: 'default', name: 'guard', health: 'running', faults: 0 },
        { tenant: 'default', name: 'count', health: 'running' },
      ],
      lcores: [{ cpu: -1, generation: 1 }],
      changes: [],
      faults: [],
    });
    const { stdout } = await running.run('status');
    expect(stdout).toMatch(/^\S+ \(pid \d+\): generation 1, up /);
    expect(stdout).toMatch(/^default\/guard {2}running/m);
  });

  it('plan shows the change and touches nothing; apply makes it, losing nothing', async () => {
    running.configure({
      ...BASE,
      programs: { ...BASE.programs, guard: { ...GUARD, settings: { blocked: ['ads.example'] } } },
    });
    const plan = await running.run('plan');
    expect(plan.stdout).toBe(
      'generation 1 runs, 1 change\n' +
        '  ~ guard: settings.blocked ["none.example"] → ["ads.example"]\n' +
        '  = count\n',
    );
    expect(plan.stderr).toContain('nothing was touched');
    expect(await running.data('status')).toMatchObject({ generation: 1 });

    const applied = await running.data('apply');
    expect(applied).toMatchObject({
      plan: { publishes: true },
      change: { kind: 'swap', from: 1, to: 2, programs: ['guard'], loss: { packets: 0 } },
    });
    expect((await running.run('apply')).stdout).toBe('no changes\n');
    expect((await running.run('plan')).stdout).toContain('generation 2 runs, no changes');
  });

  it('swap says program, generations, time and packets lost; so does the appliance', async () => {
    const { stdout } = await running.run('swap', 'default/count', `${GALLERY}drop`);
    const line = /^count: generation 2 → 3 in \S+ m?s \(build .*adopt .*\), packets lost: 0$/m;
    expect(stdout).toMatch(line);
    expect(running.output).toMatch(line);
    expect(await running.data('status')).toMatchObject({
      generation: 3,
      programs: [{}, { source: `${GALLERY}drop/index.ts` }],
      changes: [
        { to: 3, programs: ['count'] },
        { to: 2, programs: ['guard'] },
      ],
    });
  });

  it('rollback brings the programs before back, once', async () => {
    expect((await running.run('rollback')).stdout).toMatch(/^count: rolled back 3 → 4 in /);
    expect(await running.data('status')).toMatchObject({
      generation: 4,
      programs: [{}, { source: `${GALLERY}count` }],
    });
    const again = await running.run('rollback', '--json');
    expect(jsonOf(again)).toMatchObject({
      schema: 'wirelet.error/1',
      data: { code: 'WIRELET_E_ROLLBACK' },
    });
    expect(again.status).toBe(1);
  });

  it.each([
    [['swap', 'cuont'], 2, 'no program "cuont" runs here — did you mean "count"?'],
    [['swap', 'acme/count'], 2, 'there is no tenant "acme"'],
    [['swap', 'count', `${PROGRAMS}broken`], 4, 'WIRELET_E_PROGRAM_COMPILE'],
    [['swap', 'count', './none'], 4, 'WIRELET_E_PROGRAM_NOT_FOUND'],
    [['swap', 'count', '--shadow', '10'], 2, '--shadow: "10" is no time'],
    [['swap', 'count', '--sample', '1/64'], 2, '--sample needs --shadow'],
    [['swap', 'count', '--shadow', '1s', '--sample', '2/3'], 2, '--sample: "2/3"'],
    [['apply', './none'], 3, 'WIRELET_E_CONFIG_NOT_FOUND'],
  ])('%j is refused, and what runs goes on', async (args, status, message) => {
    const ended = await running.run(...args);
    expect(ended.stderr).toContain(message);
    expect(ended.status).toBe(status);
    expect(await running.data('status')).toMatchObject({ generation: 4 });
  });

  it('what needs a restart is planned as such, and refused by apply with 3', async () => {
    running.configure({ ...BASE, burst: 8, ports: { ...PORTS, tap: 'null:' } });
    const plan = await running.run('plan');
    expect(plan.stdout).toContain('! burst 64 → 8 (needs a restart)');
    expect(plan.stdout).toContain('! ports.tap none → "null:" (needs a restart)');
    const applied = await running.run('apply', '--json');
    expect(jsonOf(applied).data).toMatchObject({ code: 'WIRELET_E_RESTART_NEEDED' });
    expect(applied.status).toBe(3);
  });

  it('a config that is broken keeps nobody from asking and going back', async () => {
    writeFileSync(join(running.folder, 'wirelet.config.json'), '{');
    expect((await running.run('status')).status).toBe(0);
    expect((await running.run('apply')).status).toBe(3);
    running.configure(BASE);
  });

  it('a second appliance on the same socket is refused', async () => {
    const second = await running.run('run', '--frames', '1024');
    expect(second.stderr).toContain('WIRELET_E_CONTROL');
    expect(second.stderr).toContain('belongs to an appliance that runs');
    expect(second.status).toBe(1);
    expect((await running.run('status')).status).toBe(0);
  });

  it('elsewhere nobody answers: 5, and who else runs is named', async () => {
    const env = { XDG_RUNTIME_DIR: running.folder };
    const ended = await wirelet(['status'], { cwd: PROGRAMS, env });
    expect(ended.status).toBe(5);
    expect(ended.stderr).toContain('WIRELET_E_NO_APPLIANCE');
    expect(ended.stderr).toContain(`Running here: ${socket()}`);
    const named = await wirelet(['status', '--socket', socket()], { cwd: PROGRAMS, env: {} });
    expect(named.status).toBe(0);
  });

  it('after all of this every packet is accounted for, and the socket is gone', async () => {
    const path = socket();
    const ended = running.kill('SIGINT');
    expect(await ended).toBe(130);
    expect(running.output).toContain('in = out + drops: exact');
    expect(existsSync(path)).toBe(false);
  });
});

describe('wirelet table', () => {
  let running: Running;
  beforeAll(async () => {
    const ports = { in: { device: PORTS.in, queues: 2 }, out: { device: 'sink:', queues: 2 } };
    const programs = { flows: `${PROGRAMS}flows` };
    running = await Running.start({ ...BASE, lcores: 2, ports, programs });
  });
  afterAll(async () => {
    await running.stop();
  });

  it('list shows kinds, fields and counts', async () => {
    const { tables } = (await running.data('table', 'list')) as { tables: unknown[] };
    const flows = { program: 'flows', name: 'flows', kind: 'hash', shared: false, capacity: 1024 };
    expect(tables).toMatchObject([
      { ...flows, key: 'source u32, destination u32', value: 'packets u64, bytes u64' },
      { name: 'limits', kind: 'hash', shared: true, key: 'u32', value: 'u64' },
      { name: 'routes', kind: 'lpm4', shared: true, key: 'prefix such as 10.0.0.0/8' },
      { name: 'marks', kind: 'array', key: 'number of the element', value: 'u64' },
    ]);
    expect((await running.run('table', 'list')).stdout).toMatch(/^flows\/limits {2}hash, shared/m);
  });

  it('export, get and set speak of the same keys', async () => {
    const { stdout } = await running.run('table', 'export', 'flows/flows');
    const rows = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { key: object });
    expect(rows).toHaveLength(4);
    const key = JSON.stringify(rows[0]?.key);
    const { values } = (await running.data('table', 'get', 'flows', key)) as { values: unknown[] };
    expect(values).toHaveLength(2);
    expect(values.filter((value) => value !== null)).toMatchObject([
      { packets: expect.any(Number) },
    ]);

    const other = '{"source":"10.0.0.1","destination":2}';
    await running.data(
      'table',
      'set',
      'flows/flows',
      other,
      '{"packets":7,"bytes":8}',
      '--lcore',
      '1',
    );
    expect(await running.data('table', 'get', 'flows', other)).toMatchObject({
      values: [null, { packets: 7, bytes: 8 }],
    });
    await running.data('table', 'delete', 'default/flows/flows', other);
    const gone = await running.run('table', 'get', 'flows', other);
    expect(gone.stderr).toContain('WIRELET_E_TABLE_UNKNOWN');
    expect(gone.status).toBe(1);
  });

  it('64 bits come back as they went', async () => {
    const most = '18446744073709551615';
    await running.data('table', 'set', 'limits', '10.9.8.7', most);
    expect((await running.run('table', 'get', 'limits', '10.9.8.7')).stdout).toBe(`"${most}"\n`);
    expect((await running.run('table', 'export', 'limits')).stdout).toBe(
      `{"key":${0x0a090807},"value":"${most}","lcore":0}\n`,
    );
  });

  it('what a shared table says, programs do', async () => {
    const rows = (await running.run('table', 'export', 'flows/flows')).stdout.trim().split('\n');
    const entries = rows.map((line) => {
      const { key } = JSON.parse(line) as { key: { source: number } };
      return JSON.stringify({ key: key.source, value: 1 });
    });
    writeFileSync(join(running.folder, 'all.ndjson'), `${entries.join('\n')}\n`);
    await running.data('table', 'replace', 'limits', 'all.ndjson');
    expect(await running.data('table', 'list')).toMatchObject({
      tables: [{}, { lcores: [{ count: 4 }] }, {}, {}],
    });
    writeFileSync(join(running.folder, 'none.json'), '[]');
    expect(await running.data('table', 'replace', 'limits', 'none.json')).toMatchObject({
      count: 0,
    });
    expect((await running.run('table', 'export', 'limits')).stdout).toBe('');
  });

  it('prefixes are looked up by address, and replaced from a file', async () => {
    await running.data('table', 'set', 'routes', '198.19.0.0/16', '3');
    expect(await running.data('table', 'get', 'routes', '198.19.1.1')).toMatchObject({
      values: [3],
    });
    writeFileSync(join(running.folder, 'routes.json'), '[{"key":"10.0.0.0/8","value":5}]');
    await running.data('table', 'replace', 'flows/routes', 'routes.json');
    const { stdout } = await running.run('table', 'export', 'routes');
    expect(stdout).toBe('{"key":"10.0.0.0/8","value":5,"lcore":0}\n');
    expect((await running.run('table', 'delete', 'routes', '10.0.0.0/8')).status).toBe(0);
  });

  it('what was exported can be put back, to the lcores that it came from', async () => {
    const file = join(running.folder, 'flows.ndjson');
    await running.run('table', 'export', 'flows/flows', '-o', file);
    const before = readFileSync(file, 'utf8').trim().split('\n');
    await running.data('table', 'replace', 'flows/flows', file);
    const { stdout } = await running.run('table', 'export', 'flows/flows');
    const keys = (lines: string[]) => lines.map((line) => line.replace(/"value":.*?},/, ''));
    expect(keys(stdout.trim().split('\n')).toSorted()).toEqual(keys(before).toSorted());
  });

  it.each([
    [['get', 'flwos', '1'], 1, 'flwos: there is no such table'],
    [['set', 'limits', '1', '-1'], 2, '-1 is not from 0 to'],
    [['set', 'limits', '1', '1.5'], 2, '"1.5" is no whole number'],
    [['set', 'flows/flows', '{"source":1}', '{}'], 2, '`destination` is missing'],
    [['set', 'routes', '10.0.0.1/8', '1'], 2, 'has bits behind its prefix'],
    [['set', 'routes', '::/0', '1'], 2, 'is no address of this table'],
    [
      [
        'set',
        'flows/flows',
        '{"source":1,"destination":1}',
        '{"packets":1,"bytes":1}',
        '--lcore',
        '9',
      ],
      3,
      'lcore 9',
    ],
    [['delete', 'limits', '77'], 1, 'is not in it'],
    [['replace', 'limits', 'none.txt'], 1, 'none.txt: '],
    [['lst'], 2, 'unknown command "table lst" — did you mean "list"?'],
    [[], 2, 'table what?'],
  ])('table %j is refused', async (args, status, message) => {
    const ended = await running.run('table', ...args);
    expect(ended.stderr).toContain(message);
    expect(ended.status).toBe(status);
  });

  it('swaps and writes at the same time all succeed', async () => {
    const work = [0, 1, 2, 3].flatMap((number) => [
      running.data('swap', 'flows'),
      running.data('table', 'set', 'limits', String(number), '1'),
    ]);
    await Promise.all(work);
    const { stdout } = await running.run('table', 'export', 'limits');
    expect(stdout.trim().split('\n').toSorted()).toEqual(
      [0, 1, 2, 3].map((key) => `{"key":${key},"value":1,"lcore":0}`),
    );
    expect(await running.data('status')).toMatchObject({ generation: 5 });
  });

  it('what the shared table listed was dropped by the program and counted', async () => {
    expect(await running.kill('SIGTERM')).toBe(130);
    expect(running.output).toMatch(/^in +ended .* program [\d,]+$/m);
    expect(running.output).toContain('in = out + drops: exact');
  });
});

describe('state that is kept', () => {
  const directory = mkdtempSync('/dev/shm/wirelet-verbs-');
  let running: Running;
  beforeAll(async () => {
    const state = { persist: true, directory };
    running = await Running.start({ ...BASE, programs: { flows: `${PROGRAMS}flows` }, state });
  });
  afterAll(async () => {
    await running.stop();
    rmSync(directory, { recursive: true });
  });

  it('is there after a kill -9, and the socket of the dead is replaced', async () => {
    await running.data('table', 'set', 'limits', '10.0.0.1', '42');
    await running.data('table', 'set', 'routes', '10.0.0.0/8', '7');
    const key = '{"source":1,"destination":2}';
    await running.data('table', 'set', 'flows/flows', key, '{"packets":5,"bytes":6}');
    await running.kill('SIGKILL');
    running = await running.again();
    expect(await running.data('table', 'get', 'limits', '10.0.0.1')).toMatchObject({
      values: [42],
    });
    expect(await running.data('table', 'get', 'routes', '10.9.9.9')).toMatchObject({ values: [7] });
    expect(await running.data('table', 'get', 'flows/flows', key)).toMatchObject({
      values: [{ packets: 5, bytes: 6 }],
    });
  });
});

describe('a swap to what is bad', () => {
  let running: Running;
  beforeAll(async () => {
    const guard = { source: `${GALLERY}count`, settings: { length: 60 } };
    const ports = { in: 'gen:?rate=20k&ring=65536&size=60', out: 'sink:' };
    running = await Running.start({ ...BASE, ports, programs: { guard } });
  });
  afterAll(async () => {
    await running.stop();
  });

  it('differs in shadow: 4, shown as packets and as a file that wirelet reads', async () => {
    const pcap = join(running.folder, 'diff.pcapng');
    const flags = ['--shadow', '300ms', '--sample', '1', '--diff-pcap', pcap];
    const ended = await running.run('swap', 'guard', `${GALLERY}macswap`, ...flags);
    expect(ended.status).toBe(4);
    expect(ended.stderr).toMatch(/^shadow of guard: [\d,]+ packets of all flows in 300 ms, /m);
    expect(ended.stderr).toMatch(/^ {4}current {4}pass: 02:00:00:00:00:00 > 02:00:00:00:01:00, /m);
    expect(ended.stderr).toMatch(/^ {4}candidate {2}pass: /m);
    expect(ended.stderr).toContain('error[WIRELET_E_SHADOW_DIFFERS]: guard: ');
    const replayed = await wirelet(['replay', `${GALLERY}count`, '--in', pcap, '--json']);
    expect(jsonOf(replayed).data).toMatchObject({ packets: 128, skipped: {}, errors: [] });
    expect(await running.data('status')).toMatchObject({ generation: 1 });
  });

  it('faults: it is taken back, told, and its packets are saved', async () => {
    expect((await running.run('swap', 'guard', `${PROGRAMS}trap`)).status).toBe(0);
    await running.says('guard: rolled back 2 → 3 by itself: guard: generation 2 faulted 3 times');
    expect(running.output).toContain('fault[WIRELET_E_PROGRAM_TRAP]: guard: ');
    const { faults, changes } = (await running.data('status')) as {
      faults: { place: string; saved: string }[];
      changes: unknown[];
    };
    expect(changes).toMatchObject([{ kind: 'rollback', automatic: true }, { kind: 'swap' }]);
    expect(faults).toHaveLength(3);
    for (const { place, saved } of faults) {
      expect(place).toMatch(/programs\/trap\/index\.ts:9:\d+$/);
      expect(saved).toContain(join(running.folder, 'wirelet/faults'));
      expect(existsSync(saved)).toBe(true);
    }
  });
});
