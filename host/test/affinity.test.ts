/** Flow affinity on the command line: two lcores, and the tables that each of them has. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { Stats } from '../src/stats/stats.js';
import { Running } from './running.js';

const FLOWS = fileURLToPath(new URL('../../programs/flows', import.meta.url));
const HERE = '10.0.0.1';
const THERE = '10.1.0.0/28';

/** A port for each direction, with a queue on each lcore. */
function config(affinity?: string): object {
  const port = (from: string, to: string) => ({
    device: `gen:?rate=10k&flows=64&ring=65536&src=${from}&dst=${to}`,
    queues: 2,
  });
  const program = affinity === undefined ? FLOWS : { source: FLOWS, affinity };
  return {
    lcores: 2,
    frames: 4096,
    ports: { there: port(HERE, THERE), back: port(THERE, HERE), out: 'sink:' },
    forward: { there: 'out', back: 'out' },
    programs: { flows: program },
    pipeline: ['flows'],
  };
}

interface Row {
  lcore: number;
  key: { source: number; destination: number };
}

/** Lcores that know the packets between the one here and each of those there. */
async function lcoresByPair(running: Running): Promise<Map<string, Set<number>>> {
  const { stdout } = await running.run('table', 'export', 'flows/flows');
  const pairs = new Map<string, Set<number>>();
  for (const line of stdout.trim().split('\n')) {
    const { lcore, key } = JSON.parse(line) as Row;
    const pair = [key.source, key.destination].toSorted().join();
    pairs.set(pair, (pairs.get(pair) ?? new Set()).add(lcore));
  }
  return pairs;
}

describe('flow affinity', { timeout: 120_000 }, () => {
  let running: Running | undefined;
  afterEach(async () => {
    await running?.stop();
    running = undefined;
  });

  /** Lcores of a pair at most, once all flows are known. */
  async function spread(): Promise<number> {
    let pairs = new Map<string, Set<number>>();
    const known = async () => {
      if (running) pairs = await lcoresByPair(running);
      return pairs.size;
    };
    await expect.poll(known, { timeout: 30_000 }).toBe(16);
    return Math.max(...[...pairs.values()].map(({ size }) => size));
  }

  it('comes with a swap, and brings both directions to one lcore', async () => {
    running = await Running.start(config());
    expect(await spread()).toBe(2);
    running.configure(config('symmetric'));
    const plan = await running.run('plan');
    expect(plan.stdout).toContain('affinity');
    await running.data('apply');
    // Both lcores remember what they saw before.
    const empty = join(running.folder, 'empty.ndjson');
    writeFileSync(empty, '');
    await running.data('table', 'replace', 'flows/flows', empty);
    expect(await spread()).toBe(1);
    running.configure(config('sometimes'));
    expect((await running.run('plan')).status).toBe(3);
  });

  it('holds from the start, and what crossed is counted', async () => {
    running = await Running.start(config('symmetric'), ['--json']);
    expect(await spread()).toBe(1);
    await running.kill('SIGINT');
    const line = running.output.split('\n').find((each) => each.startsWith('{"schema"')) ?? '';
    const { data } = JSON.parse(line) as { data: { stats: Stats; conservation: object } };
    expect(data.conservation).toMatchObject({ exact: true });
    const { there, back } = data.stats.ports;
    for (const port of [there, back]) {
      expect(port?.steered).toBeGreaterThan(0);
      expect(port?.steered).toBeLessThan(port?.rx ?? 0);
    }
    expect(data.stats.lcores.every(({ packets }) => packets > 0)).toBe(true);
  });
});
