/**
 * From a save to a packet that shows it: an appliance runs as under `wirelet dev`, a program is
 * edited 50 times with its compiler warm and 50 times with it cold, and each time it is waited for
 * a packet that has gone through the new program.
 *
 *   npm run bench:save     raw samples go to bench/results/save.json
 *
 * A second program behind it, which never changes, counts packets by the mark that the first has
 * written into them: that is where the packet is seen.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

// Results of earlier runs must not be found.
const folder = mkdtempSync(join(tmpdir(), 'wirelet-save-'));
process.env.WIRELET_CACHE = join(folder, 'cache');
const { createAppliance } = await import('../dist/appliance.js');
const { closeCompiler } = await import('../dist/compile/compiler.js');
const { loadConfig } = await import('../dist/config/load.js');
const { DevSession } = await import('../dist/dev/session.js');
const { tableText } = await import('../dist/terminal/table.js');

type Appliance = Awaited<ReturnType<typeof createAppliance>>;
type Reloaded = import('../dist/dev/session.js').Reloaded;

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const RESULT = join(ROOT, 'bench/results/save.json');
const EDITS = 50;
const RATE = '50k';
const IDLE = 'adaptive';
/** Between two edits, as the fastest of typists leave it. */
const PAUSE_MS = 300;
/** Of the source MAC address: every packet has it. */
const MARK_AT = 11;

const WITNESS = `import { ArrayTable, Packet, Verdict } from '@wirelet/runtime';

const marks = ArrayTable.of<u64>('marks', 256);

export function onPacket(packet: Packet): Verdict {
  marks.add(packet.readU8(${MARK_AT}), 1);
  return Verdict.Pass;
}
`;
const SMALL = `import { Packet, Verdict } from '@wirelet/runtime';

const MARK: u8 = 0;

export function onPacket(packet: Packet): Verdict {
  packet.writeU8(${MARK_AT}, MARK);
  return Verdict.Pass;
}
`;

/** Milliseconds of one edit. */
interface Sample {
  /** From before the write until a packet was seen. */
  live: number;
  watch: number;
  compile: number;
  check: number;
  machineCode: number;
  instantiate: number;
  publish: number;
}

/** What is edited: a program of 6 lines, and the largest of the gallery. */
function programs(): Record<string, Record<string, string>> {
  const gallery = (name: string) => readFileSync(join(ROOT, 'programs/dnsguard', name), 'utf8');
  const head = 'export function onPacket(packet: Packet): Verdict {\n';
  const marking = gallery('index.ts').replace(
    head,
    `const MARK: u8 = 0;\n\n${head}  packet.writeU8(${MARK_AT}, MARK);\n`,
  );
  return {
    small: { 'index.ts': SMALL },
    dnsguard: { 'index.ts': marking, 'names.ts': gallery('names.ts') },
  };
}

async function measure(
  name: string,
  files: Record<string, string>,
): Promise<Record<string, Sample[]>> {
  const home = join(folder, name);
  write(join(home, 'witness/index.ts'), WITNESS);
  for (const [file, text] of Object.entries(files)) write(join(home, 'edited', file), text);
  write(join(home, 'wirelet.config.json'), JSON.stringify(config()));
  const loaded = await loadConfig(home);
  const { directory, file } = loaded;
  const appliance = await createAppliance(loaded.config, { directory, file });
  let onReload: (reloaded: Reloaded) => void = () => {};
  appliance.start();
  const session = new DevSession(
    {
      readConfig: () => loadConfig(home),
      apply: (wanted, changed) => appliance.apply(wanted.config, { directory, file, changed }),
      programFiles: () => appliance.programFiles,
    },
    loaded,
    {
      reloaded: (reloaded) => onReload(reloaded),
      failed: (error) => {
        throw error;
      },
    },
    Date.now(),
  );
  const text = files['index.ts'] ?? '';
  let mark = 0;
  const edit = async (): Promise<Sample> => {
    mark++;
    const reloaded = new Promise<Reloaded>((resolve) => {
      onReload = resolve;
    });
    const begin = performance.now();
    writeFileSync(
      join(home, 'edited/index.ts'),
      text.replace('MARK: u8 = 0', `MARK: u8 = ${mark}`),
    );
    await seen(appliance, mark);
    return sampleOf(performance.now() - begin, await reloaded);
  };
  const samples: Record<string, Sample[]> = { cold: [], warm: [] };
  for (const kind of ['cold', 'warm']) {
    for (let i = 0; i < EDITS; i++) {
      if (kind === 'cold') await closeCompiler();
      samples[kind]?.push(await edit());
      await sleep(PAUSE_MS);
    }
  }
  session.close();
  await appliance.stop();
  await closeCompiler();
  return samples;
}

function config() {
  return {
    lcores: 1,
    idle: IDLE,
    ports: { in: `gen:?rate=${RATE}&ring=65536`, out: 'sink:' },
    forward: { in: 'out' },
    programs: { edited: 'edited', witness: 'witness' },
    rollback: { faults: 0 },
  };
}

/** Resolves when a packet with `mark` has gone through. */
async function seen(appliance: Appliance, mark: number): Promise<void> {
  for (;;) {
    const counts = appliance.tables.get('witness/marks', mark);
    if (counts.some((count) => Number(count) > 0)) return;
    await sleep(1);
  }
}

function sampleOf(live: number, { change, watchMs }: Reloaded): Sample {
  const times = change?.timesMs;
  if (!times) throw new Error('an edit has changed nothing');
  return {
    live,
    watch: watchMs,
    compile: times.compiler,
    check: times.build - times.compiler,
    machineCode: times.compile,
    instantiate: times.instantiate,
    publish: times.adopt,
  };
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

const STEPS = [
  'live',
  'watch',
  'compile',
  'check',
  'machineCode',
  'instantiate',
  'publish',
] as const;

const loadBefore = loadavg();
const results: { program: string; compiler: string; samples: Sample[] }[] = [];
for (const [program, files] of Object.entries(programs())) {
  for (const [compiler, samples] of Object.entries(await measure(program, files))) {
    results.push({ program, compiler, samples });
  }
}
rmSync(folder, { recursive: true });
const load = { before: loadBefore, after: loadavg() };
const machine = { cpu: cpus()[0]?.model, cpus: cpus().length, linux: release(), load };
const conditions = { rate: RATE, idle: IDLE, lcores: 1, edits: EDITS, pauseMs: PAUSE_MS };
write(
  RESULT,
  `${JSON.stringify({ time: new Date().toISOString(), node: process.version, machine, conditions, results })}\n`,
);
const rows = results.flatMap(({ program, compiler, samples }) =>
  [0.5, 0.95].map((share) => [
    program,
    compiler,
    share === 0.5 ? 'median' : 'p95',
    ...STEPS.map((step) =>
      quantile(
        samples.map((sample) => sample[step]),
        share,
      ).toFixed(1),
    ),
  ]),
);
const columns = ['program', 'compiler', 'ms', ...STEPS].map((title) => ({ title }));
const shown = (averages: number[]) => averages.map((each) => each.toFixed(1)).join(' ');
const busy = `load averages ${shown(load.before)} before, ${shown(load.after)} after`;
process.stdout.write(`${tableText(columns, rows)}\n${busy}\n${RESULT}\n`);
