/** How long a program takes per packet, and how long native code takes for the same. */
import { standalone } from './check.js';
import type { Setting } from './config/schema.js';
import { type NativeBenchRow, native, rethrowNative } from './native.js';
import { udp } from './packet/packets.js';
import type { LoadedProgram } from './program.js';

/** Packets at most: what stays in the second-level cache. */
export const BENCH_PACKETS_MAX = 4096;
const FLOWS = 256;
const PAYLOAD_BYTES = 22;
/** None of them is 53: what most packets are to a DNS filter. */
const PORTS = [123, 443, 4500, 4789];

export interface BenchOptions {
  settings?: Record<string, Setting>;
  packets?: Uint8Array[];
  bursts?: number[];
  /** Samples per burst size. */
  rounds?: number;
}

export interface BenchRow {
  burst: number;
  nsPerPacket: number;
  /** Of the twin in native Rust, for programs that have one. */
  nativeNsPerPacket?: number;
  /** nativeNsPerPacket / nsPerPacket: 1 is as fast as native code. */
  ratio?: number;
}

export interface BenchResult {
  rows: BenchRow[];
  /** With every sample. */
  raw: NativeBenchRow[];
}

/**
 * Times a program over packets in memory; it and its twin take turns.
 *
 * ```ts
 * const { rows } = await bench(await loadProgram('programs/macswap'), { bursts: [64] });
 * ```
 */
export async function bench(
  program: LoadedProgram,
  options: BenchOptions = {},
): Promise<BenchResult> {
  const { settings = {}, packets = defaultTraffic(), bursts = [64], rounds = 31 } = options;
  const binding = native();
  const twin = binding.benchTwins().includes(program.name) ? program.name : '';
  try {
    const spec = standalone(program, settings);
    const raw = await binding.bench(spec, twin, packets, bursts, rounds);
    return { raw, rows: raw.map(rowOf) };
  } catch (error) {
    rethrowNative(error);
  }
}

function rowOf({ burst, nsPerPacket, nativeNsPerPacket }: NativeBenchRow): BenchRow {
  if (nativeNsPerPacket === undefined) return { burst, nsPerPacket };
  return { burst, nsPerPacket, nativeNsPerPacket, ratio: nativeNsPerPacket / nsPerPacket };
}

/** UDP of many flows, 64 bytes each. */
export function defaultTraffic(): Uint8Array[] {
  const payload = new Uint8Array(PAYLOAD_BYTES);
  return Array.from({ length: BENCH_PACKETS_MAX }, (_, index) => {
    const flow = index % FLOWS;
    const port = PORTS[flow % PORTS.length] ?? 443;
    return udp({
      from: `10.0.${flow >> 4}.${flow & 15}:${1024 + flow}`,
      to: `192.0.2.${flow}:${port}`,
      payload,
    });
  });
}
