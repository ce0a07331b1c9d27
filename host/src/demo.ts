/** The demo's two halves: generated traffic on lcores, and a capture file packet by packet. */
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAppliance } from './appliance.js';
import { decodeCapture, encodeCapture } from './capture-file.js';
import { WireletError } from './error.js';
import { dnsQuery } from './packet/dns.js';
import { udp } from './packet/packets.js';
import { loadProgram } from './program.js';
import { type ReplayResult, replay } from './replay.js';
import type { Stats } from './stats/stats.js';

/** Names that the demo's dnsguard blocks, and everything below them. */
export const BLOCKED = ['ads.example', 'tracker.example'];
const NAMES = ['www.example', 'ads.example', 'mail.example', 'eu.tracker.example'];
const RATE = '200k';
const PACKETS = 600_000;
const LCORES = 2;
/** A machine that does other things too may keep an lcore waiting for 0.3 s. */
const RING = 65536;
const PROGRAMS = fileURLToPath(new URL('../../programs/', import.meta.url));
const START_SECONDS = Date.UTC(2026, 0, 1) / 1000;

export interface LiveResult {
  stats: Stats;
  counters: Record<string, bigint>;
}

/** Generated DNS and other packets through dnsguard and count, on two lcores. */
export async function liveDemo(onProgress: (text: string) => void): Promise<LiveResult> {
  const traffic = `rate=${RATE}&count=${PACKETS}&flows=256&ring=${RING}`;
  const device = `gen:?${traffic}&protocols=udp,tcp,icmp,dns&names=${NAMES}`;
  onProgress('compiling programs/dnsguard and programs/count');
  const appliance = await createAppliance(
    {
      lcores: LCORES,
      ports: { in: { device, queues: LCORES }, out: { device: 'sink:', queues: LCORES } },
      forward: { in: 'out' },
      programs: {
        dnsguard: { source: programPath('dnsguard'), settings: { blocked: BLOCKED } },
        count: programPath('count'),
      },
    },
    { env: {} },
  );
  appliance.start();
  onProgress(`${LCORES} lcores running, ${RATE} packets per second`);
  await appliance.finished;
  const stats = await appliance.stop();
  return { stats, counters: appliance.counters() };
}

export interface FileDemo {
  /** The file that was written here. */
  input: string;
  before: Uint8Array[];
  /** What came out, in order. */
  after: Uint8Array[];
  result: ReplayResult;
}

/** A capture file of six packets through dnsguard. */
export async function fileDemo(): Promise<FileDemo> {
  const folder = mkdtempSync(join(tmpdir(), 'wirelet-demo-'));
  const input = join(folder, 'queries.pcap');
  const out = join(folder, 'kept.pcap');
  const before = demoPackets();
  writeFileSync(input, encodeCapture(before, START_SECONDS));
  const guard = await loadProgram(programPath('dnsguard'));
  const settings = new Map([[guard.name, { blocked: BLOCKED }]]);
  const result = await replay({ programs: [guard], settings, in: input, out });
  return { input, before, after: decodeCapture(readFileSync(out)), result };
}

/** Four queries, two of them for blocked names, and two packets that are none of DNS. */
function demoPackets(): Uint8Array[] {
  const resolver = '192.0.2.53';
  const queries = NAMES.map((name, index) =>
    udp({
      from: `10.0.0.${index + 1}:${40_000 + index}`,
      to: `${resolver}:53`,
      payload: dnsQuery(name, { id: index + 1 }),
    }),
  );
  const others = [123, 4500].map((port) =>
    udp({ from: '10.0.0.9:50000', to: `192.0.2.7:${port}`, payload: new Uint8Array(48) }),
  );
  return [...queries.slice(0, 2), ...others, ...queries.slice(2)];
}

function programPath(name: string): string {
  const path = join(PROGRAMS, name);
  if (existsSync(path)) return path;
  throw new WireletError('WIRELET_E_PROGRAM_NOT_FOUND', `the gallery is not there: ${path}`, {
    hint: 'The demo runs in a checkout of Wirelet.',
  });
}
