/** `wirelet bench`: nanoseconds per packet, beside native code. */
import { writeFile } from 'node:fs/promises';
import { BURST_MAX } from '../abi.js';
import { BENCH_PACKETS_MAX, type BenchRow, bench, defaultTraffic } from '../bench.js';
import { readCapture } from '../capture-file.js';
import { WireletError } from '../error.js';
import { jsonText } from '../json.js';
import { loadProgram } from '../program.js';
import { grouped } from '../terminal/numbers.js';
import { type Column, tableText } from '../terminal/table.js';
import type { Call } from './command.js';
import { readSettings } from './settings-options.js';

const BURSTS_DEFAULT = '1,8,32,64,256';
const ROUNDS_MAX = 10_000;
const ROUNDS_DEFAULT = 31;

export async function run({ arguments: [source = ''], options, output }: Call): Promise<number> {
  const bursts = parseBursts(options.text('burst') ?? BURSTS_DEFAULT);
  const rounds = options.whole('rounds', [1, ROUNDS_MAX]) ?? ROUNDS_DEFAULT;
  const program = await loadProgram(source);
  const settings = (await readSettings(options, [program.name])).get(program.name) ?? {};
  const file = options.text('in');
  const packets =
    file === undefined ? defaultTraffic() : await readCapture(file, BENCH_PACKETS_MAX);
  output.message(
    `${program.name}: ${grouped(packets.length)} packets, bursts of ${bursts.join(', ')}`,
  );
  const { rows, raw } = await bench(program, { settings, packets, bursts, rounds });
  const rawFile = options.text('raw');
  if (rawFile !== undefined) await writeRaw(rawFile, { program: program.name, rows: raw });
  output.result(rowsText(rows));
  output.json('wirelet.bench/1', { program: program.name, packets: packets.length, rows });
  return 0;
}

function parseBursts(text: string): number[] {
  const bursts = text.split(',').map((part) => (/^\d+$/.test(part) ? Number(part) : 0));
  if (bursts.every((burst) => burst >= 1 && burst <= BURST_MAX)) return bursts;
  const message = `--burst: "${text}" is not a list of numbers from 1 to ${BURST_MAX}`;
  throw new WireletError('WIRELET_E_USAGE', message);
}

function rowsText(rows: readonly BenchRow[]): string {
  const columns: Column[] = ['burst', 'ns/packet', 'native', 'native/wasm'].map((title) => {
    return { title, align: 'right' };
  });
  const cells = rows.map(({ burst, nsPerPacket, nativeNsPerPacket, ratio }) => [
    String(burst),
    nsPerPacket.toFixed(2),
    nativeNsPerPacket?.toFixed(2) ?? '-',
    ratio?.toFixed(2) ?? '-',
  ]);
  return tableText(columns, cells);
}

async function writeRaw(file: string, data: unknown): Promise<void> {
  try {
    await writeFile(file, `${jsonText(data)}\n`);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WireletError('WIRELET_E_OUTPUT', `${file}: ${reason}`, { cause });
  }
}
