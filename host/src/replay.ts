/** A capture file through programs, offline: one lcore, nothing paced, results that repeat. */
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { extname, join, resolve } from 'node:path';
import {
  DROP_REASONS,
  type DropReason,
  EDGE_DROP_REASONS,
  FRAME_BYTES_MAX,
  type Verdict,
} from './abi.js';
import { Appliance } from './appliance.js';
import { resolveConfig } from './config/resolve.js';
import type { Setting } from './config/schema.js';
import type { WireletError } from './error.js';
import type { Fault } from './fault.js';
import type { LoadedProgram } from './program.js';
import type { PortStats, Stats } from './stats/stats.js';

/** Room for a few bursts; a file can wait, so more would only cost memory. */
const FRAMES = 1024;
const PORT = 'file';
/** Reports that are kept; faults beyond are counted by their program. */
const FAULTS_KEPT = 100;

export interface ReplayOptions {
  programs: readonly LoadedProgram[];
  /** Settings by program name. */
  settings?: ReadonlyMap<string, Record<string, Setting>>;
  in: string;
  out?: string;
  onLog?: (program: string, text: string) => void;
}

export interface ReplayProgram {
  name: string;
  packets: number;
  verdicts: Record<Verdict, number>;
  nsPerPacket: number;
  faults: number;
}

export interface ReplayResult {
  /** Packets that the programs saw. */
  packets: number;
  /** Bytes of them. */
  bytes: bigint;
  /** Records that no program could see, by reason; reasons that did not happen are left out. */
  skipped: Partial<Record<DropReason, number>>;
  /** What became of each packet in the end. */
  verdicts: Record<Verdict, number>;
  programs: ReplayProgram[];
  /** By `program/name`. */
  counters: Record<string, bigint>;
  /** Drops of packets that programs saw, by reason. */
  drops: Partial<Record<DropReason, number>>;
  /** Packets in the output file; 0 without one. */
  written: number;
  /** The first faults. */
  faults: Fault[];
  /** What the input broke off with; the packets before it are counted above. */
  errors: WireletError[];
  stats: Stats;
}

/**
 * Sends every packet of a file through the programs, in order.
 *
 * ```ts
 * const guard = await loadProgram('programs/dnsguard');
 * const { verdicts } = await replay({ programs: [guard], in: 'dns.pcap', out: 'kept.pcap' });
 * ```
 * @throws WIRELET_E_DEVICE_OPEN, WIRELET_E_PCAP_FORMAT, WIRELET_E_OUTPUT, codes of modules
 */
export async function replay(options: ReplayOptions): Promise<ReplayResult> {
  const files = new SafePaths();
  try {
    return await replayFiles(options, files);
  } finally {
    files.remove();
  }
}

async function replayFiles(options: ReplayOptions, files: SafePaths): Promise<ReplayResult> {
  const { programs } = options;
  const names = uniqueNames(programs);
  const out = options.out === undefined ? '' : `,${files.of(options.out)}`;
  const config = resolveConfig(
    {
      lcores: 1,
      idle: 'poll',
      frames: FRAMES,
      frameBytes: FRAME_BYTES_MAX,
      hugepages: false,
      ports: { [PORT]: `pcap:${files.of(options.in)}${out}` },
      forward: { [PORT]: PORT },
      programs: Object.fromEntries(
        programs.map(({ name, source }, index) => {
          const settings = options.settings?.get(name) ?? {};
          return [names[index] ?? name, { source, settings }];
        }),
      ),
      pipeline: names,
    },
    { env: {} },
  );
  const appliance = new Appliance(config, [...programs], true);
  const faults: Fault[] = [];
  const errors: WireletError[] = [];
  appliance.on('fault', (fault) => faults.length < FAULTS_KEPT && faults.push(fault));
  appliance.on('error', (error) => errors.push(error));
  appliance.on('log', ({ program, text }) => options.onLog?.(program, text));
  appliance.start();
  await appliance.finished;
  const stats = await appliance.stop();
  const written = options.out === undefined ? 0 : (stats.ports[PORT]?.tx ?? 0);
  return { ...resultOf(stats), counters: appliance.counters(), written, faults, errors, stats };
}

/** What the stats of a replay say. */
export function resultOf(
  stats: Stats,
): Omit<ReplayResult, 'counters' | 'written' | 'faults' | 'errors' | 'stats'> {
  const port = stats.ports[PORT];
  if (!port) throw new Error('a replay has one port');
  const programs = Object.entries(stats.programs).map(([name, program]) => ({
    name,
    packets: program.packets,
    verdicts: program.verdicts,
    nsPerPacket: program.nsPerPacket,
    faults: program.faults,
  }));
  const skipped = dropsOf(port, (reason) => isEdge(reason));
  const packets = port.rx - Object.values(skipped).reduce((sum, count) => sum + count, 0);
  return {
    packets,
    bytes: port.rxBytes - port.edgeDropBytes,
    skipped,
    verdicts: finalVerdicts(packets, port, programs),
    programs,
    drops: dropsOf(port, (reason) => !isEdge(reason)),
  };
}

/** A packet that a program redirects or punts leaves the chain; one that faults is dropped. */
function finalVerdicts(
  packets: number,
  { drops }: PortStats,
  programs: readonly ReplayProgram[],
): Record<Verdict, number> {
  const total = (verdict: Verdict) =>
    programs.reduce((sum, program) => sum + program.verdicts[verdict], 0);
  const redirect = total('redirect');
  const punt = total('punt');
  const drop = drops.program + drops.fault + drops.program_down + drops.undecided;
  return { pass: packets - drop - redirect - punt, drop, redirect, punt };
}

function dropsOf(
  { drops }: PortStats,
  wanted: (reason: DropReason) => boolean,
): Partial<Record<DropReason, number>> {
  const happened = DROP_REASONS.filter((reason) => drops[reason] > 0 && wanted(reason));
  return Object.fromEntries(happened.map((reason) => [reason, drops[reason]]));
}

function isEdge(reason: DropReason): boolean {
  return (EDGE_DROP_REASONS as readonly DropReason[]).includes(reason);
}

/** Two programs of one name are `name` and `name-2`. */
export function uniqueNames(programs: readonly Pick<LoadedProgram, 'name'>[]): string[] {
  const names: string[] = [];
  for (const { name } of programs) {
    let unique = name;
    for (let number = 2; names.includes(unique); number++) unique = `${name}-${number}`;
    names.push(unique);
  }
  return names;
}

/** Paths without the characters that mean something in a device spec; links stand in for others. */
class SafePaths {
  #folder: string | undefined;
  #links = 0;

  of(path: string): string {
    const absolute = resolve(path);
    if (!/[,?&]/.test(absolute)) return absolute;
    this.#folder ??= mkdtempSync(join(tmpdir(), 'wirelet-replay-'));
    const link = join(this.#folder, `${this.#links++}${safeExtension(absolute)}`);
    symlinkSync(absolute, link);
    return link;
  }

  remove(): void {
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true });
  }
}

/** The extension may choose the format. */
function safeExtension(path: string): string {
  const extension = extname(path);
  return /[,?&]/.test(extension) ? '' : extension;
}
