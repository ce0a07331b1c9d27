/** `wirelet pktgen`: generated packets out by a device, and what comes back. */
import { WireletError } from '../error.js';
import { type PktgenOptions, type PktgenResult, pktgen, throughput } from '../pktgen.js';
import { duration, grouped, percent, short } from '../terminal/numbers.js';
import { tableText } from '../terminal/table.js';
import type { Call, Options } from './command.js';
import { Interrupt } from './interrupt.js';

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9 };
const SECONDS_MAX = 86_400;
/** RFC 2544, 9.1 without the FCS: of 64, 128, 256, 512, 1,024, 1,280 and 1,518. */
const RFC2544_SIZES = '60,124,252,508,1020,1276,1514';

export async function run({ arguments: [device = ''], options, output }: Call): Promise<number> {
  const given = optionsOf(options);
  const aborter = new AbortController();
  const interrupt = new Interrupt(() => aborter.abort());
  const common = { ...given, signal: aborter.signal };
  try {
    if (!options.flag('search')) {
      const result = await pktgen(device, { ...common, ...rateOf(options) });
      output.result(resultText([['', result]]));
      output.json('wirelet.pktgen/1', { ...result, interrupted: interrupt.received });
      return interrupt.status(0);
    }
    const rows: [string, PktgenResult | null][] = [];
    for (const size of (options.text('size') ?? RFC2544_SIZES).split(',')) {
      const { best } = await throughput(device, {
        ...common,
        ...limitsOf(options),
        traffic: { ...given.traffic, size },
        onTrial: (trial, isGood) => output.message(trialText(size, trial, isGood)),
      });
      rows.push([size, best]);
      if (interrupt.received) break;
    }
    output.result(resultText(rows));
    const found = rows.map(([size, best]) => ({ size, best }));
    output.json('wirelet.pktgen/1', { search: found, interrupted: interrupt.received });
    return interrupt.status(rows.every(([, best]) => best) ? 0 : 1);
  } finally {
    interrupt.release();
  }
}

function optionsOf(options: Options): PktgenOptions {
  const back = options.text('back');
  const seconds = options.text('seconds');
  const lcores = options.text('lcores');
  const traffic: Record<string, string> = {};
  const sizes = options.text('size');
  if (sizes !== undefined && !options.flag('search')) traffic.sizes = sizes;
  for (const name of ['flows', 'protocols', 'vlan', 'src', 'dst', 'seed'] as const) {
    const value = options.text(name);
    if (value !== undefined) traffic[name] = value;
  }
  for (const [flag, name] of [
    ['srcMac', 'src_mac'],
    ['dstMac', 'dst_mac'],
  ] as const) {
    const value = options.text(flag);
    if (value !== undefined) traffic[name] = value;
  }
  return {
    traffic,
    ...(back === undefined ? {} : { back }),
    ...(seconds === undefined ? {} : { seconds: numberOf('seconds', seconds, SECONDS_MAX) }),
    ...(lcores === undefined ? {} : { lcores: lcoresOf(lcores) }),
  };
}

function rateOf(options: Options): Pick<PktgenOptions, 'rate'> {
  const text = options.text('rate');
  if (text === undefined) return {};
  return { rate: text === 'max' ? text : numberOf('rate', text, 1e9) };
}

function limitsOf(options: Options): { maxRate?: number; lossMax?: number } {
  const rate = options.text('rate');
  const loss = options.text('loss');
  return {
    ...(rate === undefined || rate === 'max' ? {} : { maxRate: numberOf('rate', rate, 1e9) }),
    ...(loss === undefined ? {} : { lossMax: shareOf(loss) }),
  };
}

/** `100k`, `1.5M`, `10`. @throws WIRELET_E_USAGE */
function numberOf(name: string, text: string, max: number): number {
  const [, digits = '', unit = ''] = /^(\d+(?:\.\d+)?)([kMG]?)$/.exec(text) ?? [];
  const number = Number(digits) * (UNITS[unit] ?? 0);
  if (digits !== '' && number > 0 && number <= max) return number;
  const range = `such as 10, 100k or 1.5M, ${short(max)} at most`;
  const message = `--${name}: "${text}" is no number ${range}`;
  throw new WireletError('WIRELET_E_USAGE', message);
}

/** `0.1%` or `0.001`. @throws WIRELET_E_USAGE */
function shareOf(text: string): number {
  const [, digits = '', sign = ''] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const share = sign === '%' ? Number(digits) / 100 : Number(digits);
  if (digits !== '' && share < 1) return share;
  throw new WireletError('WIRELET_E_USAGE', `--loss: "${text}" is no share such as 0.1%`);
}

/** `2`, or CPUs: `0,1`. @throws WIRELET_E_USAGE */
function lcoresOf(text: string): number | number[] {
  if (/^\d+(,\d+)*$/.test(text)) {
    const cpus = text.split(',').map(Number);
    return text.includes(',') ? cpus : (cpus[0] ?? 1);
  }
  const message = `--lcores: "${text}" is neither a number nor a list of CPUs`;
  throw new WireletError('WIRELET_E_USAGE', message);
}

function trialText(size: string, trial: PktgenResult, isGood: boolean): string {
  const { rate, lost, missed, refused } = trial;
  const asked = typeof rate === 'number' ? short(rate) : rate;
  const counts = `lost ${grouped(lost)}, missed ${grouped(missed)}, refused ${grouped(refused)}`;
  return `${size} bytes at ${asked} a second: ${isGood ? 'good' : 'too fast'} (${counts})`;
}

function resultText(rows: readonly (readonly [string, PktgenResult | null])[]): string {
  const titles = ['sent', 'per second', 'received', 'lost', 'missed', 'refused', 'reordered'];
  const latency = ['latency p50', 'p99', 'max'];
  const sized = rows.length > 1 || rows[0]?.[0] !== '';
  const columns = [...(sized ? ['bytes'] : []), ...titles, ...latency].map((title) => {
    return { title, align: 'right' as const };
  });
  return tableText(
    columns,
    rows.map(([size, result]) => [...(sized ? [size] : []), ...cells(result, titles.length + 3)]),
  );
}

function cells(result: PktgenResult | null, count: number): string[] {
  if (!result) return ['no rate without loss', ...Array<string>(count - 1).fill('-')];
  const { sent, sentPerSecond, received, lost, missed, refused, reordered, latencyNs } = result;
  const share = sent > 0 && lost > 0 ? ` (${percent(lost / sent)})` : '';
  return [
    grouped(sent),
    short(sentPerSecond),
    grouped(received),
    `${grouped(lost)}${share}`,
    ...[missed, refused, reordered].map(grouped),
    ...(latencyNs ? [latencyNs.p50, latencyNs.p99, latencyNs.max].map(duration) : ['-', '-', '-']),
  ];
}
