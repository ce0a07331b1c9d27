import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { jsonOf, type RunOptions, wirelet } from './binary.js';

const COUNT = fileURLToPath(new URL('../../programs/count', import.meta.url));
const root = mkdtempSync(join(tmpdir(), 'wirelet-run-'));
afterAll(() => rmSync(root, { recursive: true }));

/** A folder with a config whose generator has these options. */
function project(generator: string, more = ''): string {
  const folder = mkdtempSync(join(root, 'project-'));
  writeFileSync(
    join(folder, 'wirelet.config.ts'),
    `import { defineConfig } from 'wirelet';
     export default defineConfig({
       frames: 2048,
       ports: { in: 'gen:?ring=65536&${generator}', out: 'sink:' },
       forward: { in: 'out' },
       programs: { count: ${JSON.stringify(COUNT)} },
       ${more}
     });`,
  );
  return folder;
}

/** Sends `signal` as soon as the output has each of `marks`, once per mark. */
function signalAt(signal: NodeJS.Signals, ...marks: string[]): RunOptions {
  const left = [...marks];
  return {
    onOutput: (text, kill) => {
      const [mark] = left;
      if (mark === undefined || !text.includes(mark)) return;
      left.shift();
      signalled = performance.now();
      kill(signal);
    },
  };
}

/** When a signal was sent last. */
let signalled = 0;

describe('wirelet run', () => {
  it('runs the config of the folder until its inputs end', async () => {
    const ended = await wirelet(['run'], { cwd: project('rate=50k&count=5000') });
    expect(ended.stderr).toContain('wirelet.config.ts: 1 lcore, 2 ports, 1 program running');
    expect(ended.stdout).toContain('in = out + drops: exact (5,000 = 5,000 + 0)');
    expect(ended.status).toBe(0);
  });

  it('--json prints the final stats; flags are stronger than environment and file', async () => {
    const folder = project('rate=50k&count=2000', 'lcores: 1, burst: 8,');
    const ended = await wirelet(['run', folder, '--json', '--lcores', '2', '--idle', 'poll'], {
      env: { WIRELET_LCORES: '1', WIRELET_BURST: '4' },
    });
    const { schema, data } = jsonOf(ended);
    expect(schema).toBe('wirelet.run/1');
    expect(data).toMatchObject({
      interrupted: false,
      conservation: { exact: true },
      counters: { 'count/packets': 2000 },
      stats: { framesUsed: 0, programs: { count: { packets: 2000 } } },
      errors: [],
    });
    const { lcores } = data.stats as { lcores: { packetsPerBurst: number }[] };
    expect(lcores).toHaveLength(2);
    expect(lcores[0]?.packetsPerBurst).toBeLessThanOrEqual(4);
  });

  it('the first ^C drains, says so and ends within 5 s with 130', async () => {
    const ended = await wirelet(
      ['run', project('rate=20k'), '--json'],
      signalAt('SIGINT', 'running'),
    );
    expect(performance.now() - signalled).toBeLessThan(5000);
    expect(ended.stderr).toContain('stopping: packets inside get 2000 ms to leave');
    expect(ended.status).toBe(130);
    expect(jsonOf(ended).data).toMatchObject({
      interrupted: true,
      conservation: { exact: true },
      stats: { framesUsed: 0 },
    });
  });

  it('a second ^C ends at once', async () => {
    const options = signalAt('SIGINT', 'running', 'stopping');
    const ended = await wirelet(['run', project('rate=20k'), '--drain', '4000'], options);
    expect(ended.status).toBe(130);
  });

  it('without a terminal --verbose prints a line per second', async () => {
    const ended = await wirelet(['run', '-v', project('rate=10k&count=15000')]);
    expect(ended.stderr).toMatch(/^in \S+\/s, out \S+\/s, dropped 0\/s$/m);
    expect(ended.stdout).not.toContain('\u001b');
  });

  it('an uncaught error of host code is reported; the appliance goes on', async () => {
    const folder = project('rate=10k&count=10000');
    const file = join(folder, 'wirelet.config.ts');
    const failing = "process.once('SIGUSR2', () => { throw new Error('at home'); });";
    writeFileSync(file, `${readFileSync(file, 'utf8')}\n${failing}`);
    const ended = await wirelet(['run', folder], signalAt('SIGUSR2', 'running'));
    expect(ended.stderr).toContain('error[WIRELET_E_INTERNAL]: at home');
    expect(ended.stdout).toContain('in = out + drops: exact (10,000 = 10,000 + 0)');
    expect(ended.status).toBe(1);
  });

  it('no config is an error with a hint', async () => {
    const ended = await wirelet(['run'], { cwd: root });
    expect(ended.stderr).toContain('error[WIRELET_E_CONFIG_NOT_FOUND]: there is no wirelet.config');
    expect(ended.stderr).toContain('hint: Create wirelet.config.ts');
    expect(ended.status).toBe(3);
  });

  it.each([
    [['--lcores', 'x'], 2, '--lcores: "x" is neither'],
    [['--idle', 'lazy'], 2, '--idle: "lazy" is not'],
    [['--burst', '999'], 3, 'burst: must be at most 256'],
    [['--drain', '9999'], 2, '--drain: "9999" is not a whole number from 0 to 4000'],
  ])('%j is refused', async (args, status, message) => {
    const ended = await wirelet(['run', project('count=1'), ...args]);
    expect(ended.stderr).toContain(message);
    expect(ended.status).toBe(status);
  });

  it('output that cannot be written fails at the end, after the stats', async () => {
    const folder = project('rate=10k&count=3000', '');
    writeFileSync(
      join(folder, 'full.json'),
      JSON.stringify({
        ports: { in: 'gen:?rate=10k&count=3000', out: 'pcap:,/dev/full' },
        forward: { in: 'out' },
      }),
    );
    const ended = await wirelet(['run', join(folder, 'full.json')]);
    expect(ended.stderr).toContain('error[WIRELET_E_OUTPUT]');
    expect(ended.stdout).toContain('in = out + drops: exact');
    expect(ended.status).toBe(1);
  });
});
