/**
 * Generated packets out by one device, and what comes back: rates, loss, latency; and the highest
 * rate without loss (RFC 2544, 26.1).
 */
import { type Appliance, createAppliance } from './appliance.js';
import type { WireletConfig } from './config/schema.js';
import { WireletError } from './error.js';
import type { Percentiles } from './stats/histogram.js';
import type { Stats } from './stats/stats.js';

const RATE_DEFAULT = 100_000;
const RATE_MAX = 1e9;
const SECONDS_DEFAULT = 10;
/** What is still under way when the last packet was sent. RFC 2544, 23 waits for two seconds. */
const WAIT_MS_DEFAULT = 2000;
const POLL_MS = 20;
/** The rate is never reached on a machine that is too slow: then it ends after so many times. */
const LATE_FACTOR = 2;
const RESOLUTION_DEFAULT = 0.01;

export interface PktgenOptions {
  /** Packets come back by this device; by default by the one that they left by. */
  back?: string;
  /** Packets a second, or `max`: as many as the lcore can make. 100,000 by default. */
  rate?: number | 'max';
  /** 10 by default. */
  seconds?: number;
  /** How long packets may be under way; 2,000 by default. */
  waitMs?: number;
  /** CPUs, or a number of lcores; 1 by default. */
  lcores?: number | number[];
  /** Options of the device `gen` (docs/devices.md): `sizes`, `flows`, `protocols`, `vlan`... */
  traffic?: Readonly<Record<string, string | number>>;
  /** Ends it early. */
  signal?: AbortSignal;
}

export interface PktgenResult {
  /** Packets a second that were asked for. */
  rate: number | 'max';
  /** That packets were sent for. */
  seconds: number;
  /** Packets that left by the device. */
  sent: number;
  sentPerSecond: number;
  /** Packets that the lcore was too slow to make in time. */
  missed: number;
  /** Packets that the device did not take. */
  refused: number;
  /** Packets of ours that came back. */
  received: number;
  /** Sent and not received; at `max`, those under way at the end are among them. */
  lost: number;
  reordered: number;
  duplicates: number;
  corrupt: number;
  /** From when a packet was due until it was back, in ns; null when none was. */
  latencyNs: Percentiles | null;
}

/**
 * Sends for some time and counts what comes back.
 *
 * ```ts
 * const { lost, latencyNs } = await pktgen('af_packet:eth1', { rate: 1e6, seconds: 5 });
 * ```
 * @throws the codes of devices and configs
 */
export async function pktgen(device: string, options: PktgenOptions = {}): Promise<PktgenResult> {
  const { rate = RATE_DEFAULT, seconds = SECONDS_DEFAULT, waitMs = WAIT_MS_DEFAULT } = options;
  const appliance = await createAppliance(configOf(device, options), { env: {} });
  const failed: WireletError[] = [];
  appliance.on('error', (error) => failed.push(error));
  try {
    appliance.start();
    const sendingMs = (rate === 'max' ? seconds : seconds * LATE_FACTOR) * 1000;
    const isDone = (stats: Stats): boolean => port(stats, 'pktgen').finished;
    const sentMs = await poll(appliance, sendingMs, isDone, options.signal);
    if (rate !== 'max') await poll(appliance, waitMs, isBack, options.signal);
    const stats = await appliance.stop({ drainMs: 0 });
    if (failed[0]) throw failed[0];
    return resultOf(stats, rate, sentMs / 1000);
  } finally {
    await appliance.stop({ drainMs: 0 });
  }
}

export interface ThroughputOptions extends Omit<PktgenOptions, 'rate'> {
  /** Packets a second that are tried at most; by default what `max` sends. */
  maxRate?: number;
  /** Share of the packets that may be lost; 0 by default. */
  lossMax?: number;
  /** It ends when it knows the rate to this share of it; 0.01 by default. */
  resolution?: number;
  onTrial?: (trial: PktgenResult, isGood: boolean) => void;
}

export interface Throughput {
  /** The best of the trials that lost no more than allowed; null when all did. */
  best: PktgenResult | null;
  trials: PktgenResult[];
}

/**
 * The highest rate at which no more than `lossMax` is lost, by halving what is left between the
 * highest good rate and the lowest bad one (RFC 2544, 26.1).
 * @throws the codes of devices and configs
 */
export async function throughput(
  device: string,
  options: ThroughputOptions = {},
): Promise<Throughput> {
  const { maxRate, onTrial, lossMax = 0, resolution = RESOLUTION_DEFAULT } = options;
  const trials: PktgenResult[] = [];
  let best: PktgenResult | null = null;
  const first = maxRate ?? (await pktgen(device, { ...options, rate: 'max' })).sentPerSecond;
  await searchRate(first, resolution, async (rate) => {
    if (options.signal?.aborted) return false;
    const trial = await pktgen(device, { ...options, rate });
    const isGood =
      trial.sent > 0 && trial.lost + trial.missed + trial.refused <= trial.sent * lossMax;
    trials.push(trial);
    if (isGood) best = trial;
    onTrial?.(trial, isGood);
    return isGood;
  });
  return { best, trials };
}

/**
 * The highest rate that is good, to within `resolution` of it; 0 when none is. Tries `max` first,
 * and takes for given that what is good at one rate is good below it.
 */
export async function searchRate(
  max: number,
  resolution: number,
  isGood: (rate: number) => Promise<boolean>,
): Promise<number> {
  let high = Math.floor(max);
  let low = 0;
  if (high < 1) return 0;
  if (await isGood(high)) return high;
  while (high - low > Math.max(1, high * resolution)) {
    const rate = Math.floor((low + high) / 2);
    if (await isGood(rate)) low = rate;
    else high = rate;
  }
  return low;
}

function configOf(device: string, options: PktgenOptions): WireletConfig {
  const { back, lcores = 1, traffic = {}, seconds = SECONDS_DEFAULT } = options;
  const { rate = RATE_DEFAULT } = options;
  if (rate !== 'max' && !(rate >= 1 && rate <= RATE_MAX)) {
    const message = `a rate of ${rate} packets a second, not 1 to ${RATE_MAX}`;
    throw new WireletError('WIRELET_E_CONFIG_INVALID', message);
  }
  const amount = rate === 'max' ? {} : { count: Math.max(Math.floor(rate * seconds), 1) };
  const how = { ...traffic, rate: rate === 'max' ? rate : Math.floor(rate), ...amount };
  const words = Object.entries(how).map(([name, value]) => `${name}=${value}`);
  return {
    lcores,
    idle: 'poll',
    ports: { out: device, pktgen: `gen:?${words.join('&')}`, ...(back ? { back } : {}) },
    forward: { pktgen: 'out', out: 'pktgen', ...(back ? { back: 'pktgen' } : {}) },
  };
}

/** Waits until `isDone`, at most `ms`; returns how long that took. */
async function poll(
  appliance: Appliance,
  ms: number,
  isDone: (stats: Stats) => boolean,
  signal: AbortSignal | undefined,
): Promise<number> {
  const started = performance.now();
  const passed = (): number => performance.now() - started;
  while (passed() < ms && !signal?.aborted && !isDone(appliance.stats())) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(POLL_MS, ms - passed())));
  }
  return passed();
}

function port(stats: Stats, name: 'out' | 'pktgen'): Stats['ports'][string] {
  const found = stats.ports[name];
  if (found) return found;
  throw new WireletError('WIRELET_E_INTERNAL', `no statistics of port ${name}`);
}

/** Whether nothing is under way any more. */
function isBack(stats: Stats): boolean {
  return (port(stats, 'pktgen').xstats.received ?? 0) >= port(stats, 'out').tx;
}

function resultOf(stats: Stats, rate: number | 'max', seconds: number): PktgenResult {
  const { xstats, latencyNs, dropped } = port(stats, 'pktgen');
  const { missed = 0, received = 0, reordered = 0, duplicates = 0, corrupt = 0 } = xstats;
  const sent = port(stats, 'out').tx;
  const lost = Math.max(sent - (received - duplicates), 0);
  const counts = { missed, refused: dropped, received, lost, reordered, duplicates, corrupt };
  return { rate, seconds, sent, sentPerSecond: sent / seconds, ...counts, latencyNs };
}
