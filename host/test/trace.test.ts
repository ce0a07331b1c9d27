import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAppliance } from '../src/appliance.js';
import { readCapture } from '../src/capture-file.js';
import { WireletError } from '../src/error.js';
import { conservation } from '../src/stats/conservation.js';
import { compileFilter, type Trace, traceTarget } from '../src/trace.js';
import { BINARY } from './binary.js';
import { Running } from './running.js';

const GALLERY = fileURLToPath(new URL('../../programs/', import.meta.url));
const FILTER = 'udp port 53 and net 198.18.0.0/17';
const LINE =
  /^\d\d:\d\d:\d\d\.\d{6} in rx IP 198\.18\.\S+ > 198\.19\.\S+\.53: .* A\? (\S+) \(\d+\)/;

const hasLibpcap = await compileFilter('ip').then(
  () => true,
  (thrown: unknown) => !(thrown instanceof WireletError && thrown.code === 'WIRELET_E_LIBPCAP'),
);
const hasTcpdump = spawnSync('tcpdump', ['--version']).error === undefined;

function config(gen: string, blocked: string) {
  const names = 'names=ads.example,example.com';
  return {
    frames: 4096,
    lcores: 2,
    ports: { in: `gen:?ring=65536&protocols=dns,udp,tcp&${names}&${gen}`, out: 'sink:' },
    forward: { in: 'out' },
    programs: { guard: { source: `${GALLERY}dnsguard`, settings: { blocked: [blocked] } } },
  };
}

describe('wirelet trace', () => {
  let running: Running;
  const others: ChildProcess[] = [];
  beforeAll(async () => {
    running = await Running.start(config('rate=10k', 'ads.example'));
  });
  afterAll(async () => {
    for (const other of others) other.kill('SIGKILL');
    await running.stop();
  });

  /** A trace that goes on, once it has begun. */
  async function going(...args: string[]): Promise<ChildProcess> {
    const child = spawn(process.execPath, [BINARY, 'trace', ...args], {
      cwd: running.folder,
      env: { ...process.env, XDG_RUNTIME_DIR: running.folder },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    others.push(child);
    child.stdout?.resume();
    await once(child.stderr as NodeJS.ReadableStream, 'data');
    return child;
  }

  it.skipIf(!hasLibpcap)('shows and writes what matches, and what became of it', async () => {
    const file = join(running.folder, 'wire.pcapng');
    const args = ['in', '--filter', FILTER, '--count', '40', '--pcap', file];
    const { status, stdout, stderr } = await running.run('trace', ...args);
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: 'tracing port in; ^C ends it\n40 packets shown\n',
    });
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(40);
    for (const line of lines) {
      const [, name] = LINE.exec(line) ?? [];
      const blocked = name === 'ads.example.';
      expect(line).toContain(blocked ? '[dropped by guard]' : '[forwarded to out]');
    }
    const packets = await readCapture(file);
    expect(packets).toHaveLength(40);
    const text = readFileSync(file, 'latin1');
    const count = (note: string) => text.split(note).length - 1;
    const dropped = lines.filter((line) => line.includes('dropped by guard')).length;
    expect([count('dropped by guard'), count('forwarded to out')]).toEqual([dropped, 40 - dropped]);
    if (!hasTcpdump) return;
    const read = spawnSync('tcpdump', ['-n', '-r', file, FILTER], { encoding: 'utf8' });
    expect(read.stdout.trimEnd().split('\n')).toHaveLength(40);
  });

  it('shows a program with its verdicts, as lines of JSON', async () => {
    const args = ['program:guard', '--count', '60', '--every', '3', '--snap', '34', '--json'];
    const { status, stdout } = await running.run('trace', ...args);
    const packets = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect([status, packets.length]).toEqual([0, 60]);
    for (const packet of packets) {
      expect(packet).toMatchObject({ moment: 'after', port: 'in', program: 'guard' });
      expect(packet.note).toBe(packet.verdict === 'drop' ? 'dropped by guard' : 'passed by guard');
      expect(packet.packet).toHaveLength(68);
      // All of IPv4, and nothing of the ports.
      expect(packet.text).toMatch(/ guard (pass|drop) IP \[\|ip\]/);
      expect(packet.length).toBeGreaterThan(59);
    }
    expect(new Set(packets.map(({ verdict }) => verdict))).toEqual(new Set(['pass', 'drop']));
  });

  it('ends at ^C, and says how many packets there were', async () => {
    const child = await going('out');
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    let stderr = '';
    child.stderr?.on('data', (text: Buffer) => {
      stderr += text;
    });
    child.kill('SIGINT');
    const [status] = await once(child, 'close');
    expect(status).toBe(130);
    expect(stderr).toMatch(/^[\d,]+ packets? shown(, [\d,]+ packets? not shown.*)?\n$/);
  });

  it.skipIf(!hasLibpcap)('killed clients leave nothing on the lcores', async () => {
    // As many as there may be: half of them get packets, half wait for some that never come.
    const silent = ['in', '--filter', 'tcp port 1'];
    const ways = Array.from({ length: 8 }, (_, index) => (index % 2 ? silent : ['guard']));
    const children = await Promise.all(ways.map((args) => going(...args)));
    const full = await running.run('trace', 'in', '--count', '1');
    expect(full.stderr).toContain('WIRELET_E_TRACE');
    for (const child of children) child.kill('SIGKILL');
    const counts = Array.from({ length: 8 }, () => untilTraced());
    for (const count of counts) expect(await count).toBe(true);
  });

  /** Whether there is place for one more trace, soon. */
  async function untilTraced(): Promise<boolean> {
    for (let tries = 0; tries < 50; tries++) {
      const { status } = await running.run('trace', 'in', '--count', '1');
      if (status === 0) return true;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return false;
  }

  it.each([
    [['nothing'], 1, 'no port or program "nothing" is here'],
    [['port:guard'], 1, 'no port "guard" is here'],
    [['in', '--count', '0'], 2, 'WIRELET_E_USAGE'],
    [['in', '--pcap', '/no/folder/f'], 1, 'WIRELET_E_OUTPUT'],
  ])('trace %j ends with %i', async (args, status, text) => {
    const ended = await running.run('trace', ...args);
    expect(ended.status).toBe(status);
    expect(ended.stderr).toContain(text);
  });

  it.skipIf(!hasLibpcap)('a filter that is none is told in the words of libpcap', async () => {
    const { status, stderr } = await running.run('trace', 'in', '--filter', 'prot 53');
    expect(status).toBe(2);
    expect(stderr).toContain("WIRELET_E_FILTER]: `prot 53`: can't parse filter expression");
  });

  it('ends in good order when the appliance stops', async () => {
    const child = await going('in');
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    const stopped = running.kill('SIGINT');
    const [status] = await once(child, 'close');
    expect([status, await stopped]).toEqual([0, 130]);
  });
});

describe('traces of an appliance of this process', () => {
  it('take nothing from the packets, and see each of them at a moderate rate', async () => {
    const appliance = await createAppliance(config('rate=20k&count=20000', 'none.example'));
    appliance.start();
    const traces = await Promise.all(['in', 'guard', 'out'].map((name) => appliance.trace(name)));
    const counts = Promise.all(traces.map(countOf));
    await appliance.finished;
    const stats = await appliance.stop();
    expect(conservation(stats)).toMatchObject({ exact: true });
    expect(stats.ports.out?.xstats).toMatchObject({
      lost: 0,
      reordered: 0,
      corrupt: 0,
      received: 20_000,
    });
    for (const [index, count] of (await counts).entries()) {
      const lost = traces[index]?.lost ?? 0;
      expect(count + lost).toBeLessThanOrEqual(20_000);
      expect(count).toBeGreaterThan(1000);
    }
  });

  it('go on through a swap, and end with the program', async () => {
    const given = config('rate=20k', 'none.example');
    const appliance = await createAppliance(given);
    appliance.start();
    let swapped: Promise<unknown> | undefined;
    try {
      const verdicts: string[] = [];
      for await (const { verdict } of await appliance.trace('guard')) {
        if (verdicts.at(-1) !== verdict) verdicts.push(verdict);
        if (verdicts.length > 1) break;
        swapped ??= appliance.swap('guard', { source: `${GALLERY}drop` });
      }
      expect(verdicts).toEqual(['pass', 'drop']);
      await swapped;
      const until = countOf(await appliance.trace('guard', { every: 100 }));
      await appliance.apply({ ...given, programs: {} });
      expect(await until).toBeGreaterThanOrEqual(0);
    } finally {
      await appliance.stop();
    }
  });
});

async function countOf(trace: Trace): Promise<number> {
  let count = 0;
  for await (const _packet of trace) count++;
  return count;
}

describe('the target of a trace', () => {
  const names = { ports: ['wan', 'both'], programs: ['guard', 'both'] };

  it('is a port or a program', () => {
    expect(traceTarget('wan', names)).toEqual({ kind: 'port', name: 'wan' });
    expect(traceTarget('default/guard', names)).toEqual({ kind: 'program', name: 'guard' });
    expect(traceTarget('port:both', names)).toEqual({ kind: 'port', name: 'both' });
    expect(traceTarget('program:both', names)).toEqual({ kind: 'program', name: 'both' });
  });

  it('is asked for where it could be both', () => {
    expect(() => traceTarget('both', names)).toThrow('a port and a program are called both');
    expect(() => traceTarget('gaurd', names)).toThrow('did you mean "guard"?');
  });
});
