/** What an appliance has done so far, in the words of docs and metrics. */
import {
  DROP_REASONS,
  type DropReason,
  HISTOGRAM_BUCKETS,
  LCORE_BLOCK_BURST_NS,
  LCORE_BLOCK_BURSTS,
  LCORE_BLOCK_BUSY_CYCLES,
  LCORE_BLOCK_FRAMES_CACHED,
  LCORE_BLOCK_GAP_MAX_CYCLES,
  LCORE_BLOCK_GENERATION,
  LCORE_BLOCK_HANDOVERS,
  LCORE_BLOCK_IDLE_CYCLES,
  LCORE_BLOCK_PACKETS,
  LCORE_BLOCK_ROUNDS,
  LCORE_BLOCK_SLEEPS,
  LCORE_BLOCK_STATE,
  LCORE_STATES,
  PORT_BLOCK_COPIED_PACKETS,
  PORT_BLOCK_DROPS,
  PORT_BLOCK_EDGE_DROP_BYTES,
  PORT_BLOCK_FINISHED,
  PORT_BLOCK_FORWARDED_PACKETS,
  PORT_BLOCK_LATENCY_NS,
  PORT_BLOCK_LINK_UP,
  PORT_BLOCK_MAC,
  PORT_BLOCK_MTU,
  PORT_BLOCK_PROMISCUOUS,
  PORT_BLOCK_PUNTED_PACKETS,
  PORT_BLOCK_RULE_HITS,
  PORT_BLOCK_RX_BYTES,
  PORT_BLOCK_RX_PACKETS,
  PORT_BLOCK_STEERED_PACKETS,
  PORT_BLOCK_TX_BYTES,
  PORT_BLOCK_TX_PACKETS,
  PORT_BLOCK_XSTATS,
  PROGRAM_BLOCK_BURSTS,
  PROGRAM_BLOCK_CYCLES,
  PROGRAM_BLOCK_FAULTED_PACKETS,
  PROGRAM_BLOCK_FAULTS,
  PROGRAM_BLOCK_HEALTH,
  PROGRAM_BLOCK_LOG_LINES_LOST,
  PROGRAM_BLOCK_PACKETS,
  PROGRAM_BLOCK_REBUILDS,
  PROGRAM_BLOCK_UNDECIDED_PACKETS,
  PROGRAM_BLOCK_VERDICTS,
  VERDICTS,
  type Verdict,
} from '../abi.js';
import type { NativeRulesPlace } from '../native.js';
import { type Percentiles, percentiles } from './histogram.js';
import type { Block, PageSnapshot } from './page.js';

const NS_PER_SECOND = 1e9;
/** Values of a program's health in its block. */
const HEALTH = ['rebuilding', 'running', 'quarantined'] as const;

export type LcoreState = (typeof LCORE_STATES)[number];
export type ProgramHealth = (typeof HEALTH)[number];

export interface LcoreStats {
  state: LcoreState;
  /** Rounds of its loop: one that lives has more and more, also without packets. */
  rounds: number;
  /** Share of its time that went into bursts, 0 to 1. */
  busy: number;
  busyNs: number;
  idleNs: number;
  bursts: number;
  packets: number;
  packetsPerBurst: number;
  /** Duration of bursts, receive to transmit, in ns; null before the first. */
  burstNs: Percentiles | null;
  /** Longest time between two bursts' ends while packets waited. */
  gapMaxNs: number;
  sleeps: number;
  generation: number;
  /** Packets handed to another lcore, to leave or to run there. */
  handovers: number;
  framesCached: number;
}

export interface PortStats {
  /** Packets that came in, those included that were dropped at the device's edge. */
  rx: number;
  rxBytes: bigint;
  /** Bytes of the packets among them that were dropped at the device's edge. */
  edgeDropBytes: bigint;
  /** Packets that floods added to those that came in: one per port of departure but the first. */
  copies: number;
  /** Packets that came in by this port and left by any, or went to the host; copies included. */
  forwarded: number;
  /** Packets of `forwarded` that went to the host's handler. */
  punted: number;
  /** Packets that came in by this port and were handed to the lcore of their flow. */
  steered: number;
  /** Packets that left by this port. */
  tx: number;
  txBytes: bigint;
  /** Drops of packets that came in by this port; every reason is there, at 0. */
  drops: Record<DropReason, number>;
  /** Sum of `drops`. */
  dropped: number;
  link: 'up' | 'down';
  /** `02:00:00:00:00:01`; null where there is none. */
  mac: string | null;
  /** Bytes behind the Ethernet header; 0 where there is no MTU. */
  mtu: number;
  /** Packets for every MAC address are received. */
  promiscuous: boolean;
  /** The device will never receive again. */
  finished: boolean;
  xstats: Record<string, number>;
  /** What is decided before programs see a packet; null where there are no rules. */
  rules: RulesStats | null;
  /** From the generator to this port, in ns; null where nobody measures it. */
  latencyNs: Percentiles | null;
}

export interface RulesStats {
  /** Who carries them out: the engine, or the device itself. */
  where: 'native' | 'hardware';
  /** Why not the device, where it was asked; else ''. */
  refused: string;
  /** In their order; hits are null where the device does not count. */
  hits: { rule: string; packets: number | null }[];
}

export interface ProgramStats {
  health: ProgramHealth;
  bursts: number;
  packets: number;
  /** Descriptors written and checked included; 0 before the first packet. */
  nsPerPacket: number;
  verdicts: Record<Verdict, number>;
  faults: number;
  /** Packets dropped by faults, and while it was down. */
  faultedPackets: number;
  undecidedPackets: number;
  rebuilds: number;
  logLinesLost: number;
}

export interface Stats {
  /** Milliseconds since the start. */
  elapsedMs: number;
  generation: number;
  /** Of all programs, those included that have gone since. */
  faults: number;
  /** Frames of the region. */
  frames: number;
  /** Frames that nobody has given back: packets inside; 0 after a stop. */
  framesUsed: number;
  lcores: LcoreStats[];
  ports: Record<string, PortStats>;
  programs: Record<string, ProgramStats>;
}

/** Names that the page itself does not hold. */
export interface StatsNames {
  ports: string[];
  /** By their blocks; '' for a block that is free. */
  programs: string[];
  /** Names of extra statistics by port. */
  xstats: string[][];
  /** Rules by port, as texts. */
  rules: { place: NativeRulesPlace; texts: string[] }[];
}

/** What is measured beside the page. */
export type Measured = Pick<Stats, 'elapsedMs' | 'framesUsed'>;

/** Adds up what each lcore saw. */
export function decodeStats(page: PageSnapshot, names: StatsNames, measured: Measured): Stats {
  const group = (kind: 'ports' | 'programs', index: number): Block[] =>
    page.groups.flatMap((blocks) => blocks[kind].slice(index, index + 1));
  return {
    ...measured,
    // The newest that an lcore has taken over; the page itself names the first one only.
    generation: Math.max(
      page.generation,
      ...page.groups.map(({ lcore }) => lcore.number(LCORE_BLOCK_GENERATION)),
    ),
    faults: page.groups.reduce(
      (total, { programs }) => total + sum(programs, PROGRAM_BLOCK_FAULTS),
      0,
    ),
    frames: page.frames,
    lcores: page.groups.map(({ lcore }) => decodeLcore(lcore, page.cyclesHz)),
    ports: byName(names.ports, (index) =>
      decodePort(group('ports', index), names.xstats[index] ?? [], names.rules[index]),
    ),
    programs: byName(names.programs, (index) =>
      decodeProgram(group('programs', index), page.cyclesHz),
    ),
  };
}

function decodeLcore(block: Block, hz: number): LcoreStats {
  const busyNs = cyclesToNs(block.number(LCORE_BLOCK_BUSY_CYCLES), hz);
  const idleNs = cyclesToNs(block.number(LCORE_BLOCK_IDLE_CYCLES), hz);
  const bursts = block.number(LCORE_BLOCK_BURSTS);
  const packets = block.number(LCORE_BLOCK_PACKETS);
  return {
    state: LCORE_STATES[block.number(LCORE_BLOCK_STATE)] ?? 'failed',
    rounds: block.number(LCORE_BLOCK_ROUNDS),
    busy: ratio(busyNs, busyNs + idleNs),
    busyNs,
    idleNs,
    bursts,
    packets,
    packetsPerBurst: ratio(packets, bursts),
    burstNs: percentiles(block.numbers(LCORE_BLOCK_BURST_NS, HISTOGRAM_BUCKETS)),
    gapMaxNs: cyclesToNs(block.number(LCORE_BLOCK_GAP_MAX_CYCLES), hz),
    sleeps: block.number(LCORE_BLOCK_SLEEPS),
    generation: block.number(LCORE_BLOCK_GENERATION),
    handovers: block.number(LCORE_BLOCK_HANDOVERS),
    framesCached: block.number(LCORE_BLOCK_FRAMES_CACHED),
  };
}

function decodePort(
  blocks: Block[],
  xstatNames: string[],
  rules: StatsNames['rules'][number] | undefined,
): PortStats {
  const drops = sums(blocks, PORT_BLOCK_DROPS, DROP_REASONS.length);
  const xstats = sums(blocks, PORT_BLOCK_XSTATS, xstatNames.length);
  return {
    rx: sum(blocks, PORT_BLOCK_RX_PACKETS),
    rxBytes: sumBig(blocks, PORT_BLOCK_RX_BYTES),
    edgeDropBytes: sumBig(blocks, PORT_BLOCK_EDGE_DROP_BYTES),
    copies: sum(blocks, PORT_BLOCK_COPIED_PACKETS),
    forwarded: sum(blocks, PORT_BLOCK_FORWARDED_PACKETS),
    punted: sum(blocks, PORT_BLOCK_PUNTED_PACKETS),
    steered: sum(blocks, PORT_BLOCK_STEERED_PACKETS),
    tx: sum(blocks, PORT_BLOCK_TX_PACKETS),
    txBytes: sumBig(blocks, PORT_BLOCK_TX_BYTES),
    drops: record(DROP_REASONS, drops),
    dropped: drops.reduce((total, value) => total + value, 0),
    link: sum(blocks, PORT_BLOCK_LINK_UP) > 0 ? 'up' : 'down',
    mac: macText(most(blocks, PORT_BLOCK_MAC)),
    mtu: most(blocks, PORT_BLOCK_MTU),
    promiscuous: most(blocks, PORT_BLOCK_PROMISCUOUS) > 0,
    finished: sum(blocks, PORT_BLOCK_FINISHED) > 0,
    xstats: record(xstatNames, xstats),
    rules: rules && rules.texts.length > 0 ? decodeRules(blocks, rules) : null,
    latencyNs: percentiles(sums(blocks, PORT_BLOCK_LATENCY_NS, HISTOGRAM_BUCKETS)),
  };
}

function decodeRules(blocks: Block[], { place, texts }: StatsNames['rules'][number]): RulesStats {
  const packets = sums(blocks, PORT_BLOCK_RULE_HITS, texts.length);
  return {
    where: place.hardware ? 'hardware' : 'native',
    refused: place.refused,
    hits: texts.map((rule, index) => {
      return { rule, packets: place.counted ? (packets[index] ?? 0) : null };
    }),
  };
}

function decodeProgram(blocks: Block[], hz: number): ProgramStats {
  const packets = sum(blocks, PROGRAM_BLOCK_PACKETS);
  const ns = cyclesToNs(sum(blocks, PROGRAM_BLOCK_CYCLES), hz);
  return {
    health: worstHealth(blocks),
    bursts: sum(blocks, PROGRAM_BLOCK_BURSTS),
    packets,
    nsPerPacket: ratio(ns, packets),
    verdicts: record(VERDICTS, sums(blocks, PROGRAM_BLOCK_VERDICTS, VERDICTS.length)),
    faults: sum(blocks, PROGRAM_BLOCK_FAULTS),
    faultedPackets: sum(blocks, PROGRAM_BLOCK_FAULTED_PACKETS),
    undecidedPackets: sum(blocks, PROGRAM_BLOCK_UNDECIDED_PACKETS),
    rebuilds: sum(blocks, PROGRAM_BLOCK_REBUILDS),
    logLinesLost: sum(blocks, PROGRAM_BLOCK_LOG_LINES_LOST),
  };
}

/** Quarantined anywhere, else being rebuilt anywhere, else running. */
function worstHealth(blocks: Block[]): ProgramHealth {
  const seen = blocks.map((block) => HEALTH[block.number(PROGRAM_BLOCK_HEALTH)] ?? 'quarantined');
  if (seen.includes('quarantined')) return 'quarantined';
  return seen.includes('rebuilding') ? 'rebuilding' : 'running';
}

/** What every lcore that has a queue says, and the others leave at 0. */
function most(blocks: Block[], offset: number): number {
  return Math.max(0, ...blocks.map((block) => block.number(offset)));
}

function macText(mac: number): string | null {
  if (mac === 0) return null;
  return mac
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?=.)/g, '$&:');
}

function sumBig(blocks: Block[], offset: number): bigint {
  return blocks.reduce((total, block) => total + block.big(offset), 0n);
}

function sum(blocks: Block[], offset: number): number {
  return blocks.reduce((total, block) => total + block.number(offset), 0);
}

function sums(blocks: Block[], offset: number, count: number): number[] {
  const bytes = BigUint64Array.BYTES_PER_ELEMENT;
  return Array.from({ length: count }, (_, index) => sum(blocks, offset + index * bytes));
}

function record<Name extends string>(
  names: readonly Name[],
  values: readonly number[],
): Record<Name, number> {
  return Object.fromEntries(names.map((name, index) => [name, values[index] ?? 0])) as Record<
    Name,
    number
  >;
}

function byName<T>(names: string[], decode: (index: number) => T): Record<string, T> {
  const used = names.map((name, index) => [name, index] as const).filter(([name]) => name !== '');
  return Object.fromEntries(used.map(([name, index]) => [name, decode(index)]));
}

function cyclesToNs(cycles: number, hz: number): number {
  return hz === 0 ? 0 : (cycles / hz) * NS_PER_SECOND;
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
