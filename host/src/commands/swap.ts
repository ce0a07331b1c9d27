/** `wirelet swap`: another version of a program, while packets flow. */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Swapped } from '../appliance.js';
import type { ControlClient } from '../control/client.js';
import { shadowOf } from '../control/shadow-wire.js';
import { WireletError } from '../error.js';
import type { ShadowReport } from '../shadow.js';
import { changeText, tablesText } from '../terminal/change-text.js';
import type { Output } from '../terminal/output.js';
import { differencesPcapng, shadowText } from '../terminal/shadow-text.js';
import { withAppliance } from './appliance-client.js';
import type { Call, Options } from './command.js';

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };
const SHADOW_MS_MAX = 600_000;
const SAMPLE_MAX = 1 << 20;

export async function run(call: Call): Promise<number> {
  const { output, options } = call;
  const pcap = options.text('diffPcap');
  const swapped = await withAppliance(call, (client) => swap(client, call)).catch(
    (thrown: unknown) => {
      const report = reportIn(thrown);
      if (report) show(report, pcap, output);
      throw thrown;
    },
  );
  const shadow = swapped.shadow === undefined ? undefined : shadowOf(swapped.shadow);
  if (shadow) show(shadow, pcap, output);
  const { change } = swapped;
  output.result([changeText(change), ...tablesText(change)].join('\n'));
  output.json('wirelet.swap/1', swapped);
  return 0;
}

async function swap(client: ControlClient, { arguments: given, options, output }: Call) {
  const [program = '', source] = given;
  const shadow = shadowOptions(options);
  const params = {
    program,
    ...(source === undefined ? {} : { source: resolve(source) }),
    resetState: options.flag('resetState'),
    ...(shadow === undefined ? {} : { shadow }),
  };
  const onProgress = (text: string) => output.message(text);
  return (await client.ask('swap', params, { onProgress })) as Swapped;
}

function shadowOptions(options: Options) {
  const time = options.text('shadow');
  const maxDifferences = options.whole('maxDifferences', [0, Number.MAX_SAFE_INTEGER]);
  const sample = options.text('sample');
  if (time === undefined) {
    const [flag] = ['sample', 'maxDifferences', 'diffPcap'].filter((name) => options.text(name));
    if (flag === undefined) return undefined;
    throw new WireletError('WIRELET_E_USAGE', `--${dashed(flag)} needs --shadow`);
  }
  return {
    durationMs: parseDuration(time),
    ...(sample === undefined ? {} : { sampleOneIn: parseSample(sample) }),
    ...(maxDifferences === undefined ? {} : { maxDifferences }),
  };
}

/** `10s`, `500ms`, `1m`. @throws WIRELET_E_USAGE */
function parseDuration(text: string): number {
  const [, number = '', unit = ''] = /^(\d+)(ms|s|m)$/.exec(text) ?? [];
  const ms = Number(number) * (UNITS_MS[unit] ?? Number.NaN);
  if (ms >= 1 && ms <= SHADOW_MS_MAX) return ms;
  const message = `--shadow: "${text}" is no time such as 10s or 500ms, 10 minutes at most`;
  throw new WireletError('WIRELET_E_USAGE', message);
}

/** `1/64` or `64`. @throws WIRELET_E_USAGE */
function parseSample(text: string): number {
  const [, number = ''] = /^(?:1\/)?(\d+)$/.exec(text) ?? [];
  const oneIn = number === '' ? 0 : Number(number);
  if (oneIn >= 1 && oneIn <= SAMPLE_MAX) return oneIn;
  throw new WireletError('WIRELET_E_USAGE', `--sample: "${text}" is not 1/64 or the like`);
}

/** Of an error that says that the two differ. */
function reportIn(thrown: unknown): ShadowReport | undefined {
  if (!(thrown instanceof WireletError) || thrown.code !== 'WIRELET_E_SHADOW_DIFFERS') {
    return undefined;
  }
  return shadowOf(thrown.details.shadow);
}

function show(report: ShadowReport, pcap: string | undefined, output: Output): void {
  output.message(shadowText(report));
  if (pcap === undefined) return;
  try {
    writeFileSync(pcap, differencesPcapng(report, Date.now()));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new WireletError('WIRELET_E_OUTPUT', `${pcap}: ${reason}`, { cause });
  }
  output.message(`${report.examples.length} differences, two packets each: ${pcap}`);
}

function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
