import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { decodeCapture } from '../../src/capture-file.js';
import { wirelet } from '../binary.js';
import { DevProcess, Project } from './process.js';

// A compile that is cold takes seconds on a machine that does other things.
vi.setConfig({ testTimeout: 120_000 });

const root = mkdtempSync(join(tmpdir(), 'wirelet-dev-'));
let dev: DevProcess | undefined;
afterEach(() => dev?.kill());
afterAll(() => rmSync(root, { recursive: true }));

/** Where the generator's payload begins. */
const PAYLOAD = 42;
const MARKER = `import { Packet, Verdict } from '@wirelet/runtime';
import { MARK } from './mark';

export function onPacket(packet: Packet): Verdict {
  packet.writeU8(${PAYLOAD}, MARK);
  return Verdict.Pass;
}
`;
const PASS = `import { Counter, Packet, Verdict } from '@wirelet/runtime';

const seen = Counter.of('seen');

export function onPacket(packet: Packet): Verdict {
  seen.add(1);
  return Verdict.Pass;
}
`;
const CONFIG = `export default {
  frames: 2048,
  ports: { in: 'gen:?rate=2k&ring=65536', out: 'pcap:,out.pcap' },
  forward: { in: 'out' },
  programs: { marker: 'marker', second: { source: 'second', settings: {} } },
};
`;

function project(files: Record<string, string> = {}): Project {
  return new Project(mkdtempSync(join(root, 'project-')), {
    'wirelet.config.ts': CONFIG,
    'marker/index.ts': MARKER,
    'marker/mark.ts': 'export const MARK: u8 = 1;\n',
    'second/index.ts': PASS,
    ...files,
  });
}

/** The marks of the packets that left, without repetitions. */
function marksOf(files: Project): number[] {
  const packets = decodeCapture(readFileSync(files.path('out.pcap')));
  const marks = packets.map((packet) => packet[PAYLOAD] ?? 0);
  return marks.filter((mark, index) => mark !== marks[index - 1]);
}

describe('wirelet dev', () => {
  it('makes what is saved what runs, and nothing else, without losing a packet', async () => {
    const files = project();
    dev = new DevProcess(files);
    await dev.until(/^ready in .*, 1 lcore, generation 1; \^C ends it$/m);
    await dev.until(/^ {2}port +in +gen:\?rate=2k&ring=65536 → out$/m);
    await dev.until(/^ {2}program +marker +marker$/m);
    // An import of the program, not the file that the config names.
    files.edit('marker/mark.ts', '= 1', '= 2');
    await dev.until(
      /^marker: generation 1 → 2 in .* \(.*compile .*check .*publish .*\), packets lost: 0$/m,
    );
    files.edit('marker/mark.ts', 'MARK', 'MRK');
    await dev.until('WIRELET_E_PROGRAM_COMPILE');
    await dev.until(/^> 2 \| import { MARK } from '.\/mark';$/m);
    await sleep(100);
    files.edit('marker/mark.ts', 'MRK: u8 = 2', 'MARK: u8 = 3');
    await dev.until(/^marker: generation 2 → 3 in .*packets lost: 0$/m);
    await sleep(100);
    dev.interrupt();
    expect(await dev.ended).toBe(130);
    expect(dev.output).toMatch(/in = out \+ drops: exact/);
    expect(marksOf(files)).toEqual([1, 2, 3]);
  });

  it('takes programs that are saved together as one generation, and applies a config', async () => {
    const files = project();
    dev = new DevProcess(files);
    await dev.until('ready in');
    // Both lie there when it looks, however slow this process is between the two.
    dev.pause();
    files.edit('marker/mark.ts', '= 1', '= 2');
    files.edit('second/index.ts', 'add(1)', 'add(2)');
    dev.resume();
    await dev.until(/^marker, second: generation 1 → 2 in .*packets lost: 0$/m);
    files.edit('wirelet.config.ts', "programs: { marker: 'marker', ", 'programs: { ');
    await dev.until(/^marker: generation 2 → 3 in .*packets lost: 0$/m);
    files.edit('wirelet.config.ts', '2048', '4096');
    await dev.until(/^error\[WIRELET_E_RESTART_NEEDED\]: frames: 2048 → 4096$/m);
    files.edit('second/index.ts', 'add(2)', 'add(3)');
    await dev.until(/^second: generation 3 → 4 in/m);
    dev.interrupt();
    expect(await dev.ended).toBe(130);
    expect(dev.output).not.toContain('generation 4 → 5');
    expect(marksOf(files).slice(0, 2)).toEqual([1, 2]);
  });

  it('waits for a save when nothing can be started, and serves the control socket', async () => {
    const files = project({ 'marker/mark.ts': 'export const MARK: u8 = one;\n' });
    dev = new DevProcess(files);
    await dev.until("Cannot find name 'one'");
    await dev.until('nothing runs yet: waiting for a save');
    files.edit('marker/mark.ts', 'one', '1');
    await dev.until('ready in');
    const env = { WIRELET_SOCKET: files.path('control.sock') };
    const swapped = await wirelet(['swap', 'second', files.path('marker')], { env });
    expect(swapped.stdout).toContain('second: generation 1 → 2');
    await dev.until(/^second: generation 1 → 2 in/m);
    // What is saved next makes the config what runs again.
    files.edit('marker/mark.ts', '1', '9');
    await dev.until(/^marker, second: generation 2 → 3 in/m);
    dev.interrupt();
    expect(await dev.ended).toBe(130);
  });
});

const hasScript = spawnSync('script', ['--version']).status === 0;

describe.skipIf(!hasScript)('on a terminal', () => {
  it('keys reload, show statistics and tables, help and quit', async () => {
    const files = project();
    dev = new DevProcess(files, { terminal: true });
    await dev.until('press h for help');
    dev.press('h');
    await dev.until(/r {2}read everything anew/);
    dev.press('r');
    await dev.until('no changes');
    dev.press('s');
    await dev.until('received  per s');
    await dev.until('in = out + drops');
    dev.press('t');
    await dev.until('in = out + drops');
    // A second table, drawn by itself; a line goes above it.
    await dev.until('in = out + drops');
    files.edit('marker/mark.ts', '= 1', '= 2');
    await dev.until(/marker: generation 1 → 2 in/);
    dev.press('tq');
    expect(await dev.ended).toBe(0);
  });

  it('^C is a key there, and does what it does elsewhere', async () => {
    dev = new DevProcess(project(), { terminal: true });
    await dev.until('press h for help');
    dev.press('\u0003');
    await dev.until('stopping: packets inside get 2000 ms to leave');
    expect(await dev.ended).toBe(130);
  });
});
