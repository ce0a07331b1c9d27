/**
 * An appliance as a service: says when it is ready, how it is doing, and that all of its lcores
 * live; and reads its config anew when it is told to.
 */
import type { Appliance } from '../appliance.js';
import { asWireletError } from '../error.js';
import type { Stats } from '../stats/stats.js';
import { short } from '../terminal/numbers.js';
import { Heartbeat } from './heartbeat.js';
import type { Notify } from './notify.js';

/** Until the first round of each lcore, then in between, unless the watchdog wants more. */
const READY_MS = 10;
const TICK_MS = 2000;
const NS_PER_US = 1000n;

export interface ServiceOptions {
  notify: Notify;
  /** Longest time between two signs of life; undefined where nobody waits for any. */
  watchdogMs: number | undefined;
  /** Reads the config and applies it. */
  reload: () => Promise<unknown>;
  /** Hears why a config could not be read or applied; the appliance goes on as it is. */
  failed: (thrown: unknown) => void;
}

export class Service {
  readonly #appliance: Pick<Appliance, 'stats' | 'generation'>;
  readonly #options: ServiceOptions;
  readonly #heartbeat = new Heartbeat();
  #timer: NodeJS.Timeout;
  #before: Stats | undefined;
  #trouble = '';
  #reloading: Promise<void> = Promise.resolve();

  /** Of an appliance that was started. */
  constructor(appliance: Pick<Appliance, 'stats' | 'generation'>, options: ServiceOptions) {
    this.#appliance = appliance;
    this.#options = options;
    this.#timer = setInterval(() => this.#awaitReady(), READY_MS);
  }

  /** Reads the config anew, after the readings that were asked for before. */
  reload(): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reload());
    return this.#reloading;
  }

  /** It is about to stop. */
  stopping(): void {
    clearInterval(this.#timer);
    this.#options.notify({ STOPPING: 1, STATUS: 'packets inside leave', ...this.#alive(true) });
  }

  #awaitReady(): void {
    const stats = this.#appliance.stats();
    if (!this.#heartbeat.beats(roundsOf(stats))) return;
    this.#options.notify({ READY: 1, STATUS: this.#statusOf(stats), ...this.#alive(true) });
    clearInterval(this.#timer);
    // Four chances before somebody thinks that we are dead.
    const { watchdogMs = 4 * TICK_MS } = this.#options;
    this.#timer = setInterval(() => this.#tick(), Math.min(TICK_MS, watchdogMs / 4));
  }

  #tick(): void {
    const stats = this.#appliance.stats();
    const alive = this.#alive(this.#heartbeat.beats(roundsOf(stats)));
    this.#options.notify({ STATUS: this.#statusOf(stats), ...alive });
  }

  #alive(beats: boolean): { WATCHDOG?: 1 } {
    return beats && this.#options.watchdogMs !== undefined ? { WATCHDOG: 1 } : {};
  }

  async #reload(): Promise<void> {
    const { notify, reload, failed } = this.#options;
    notify({ RELOADING: 1, MONOTONIC_USEC: process.hrtime.bigint() / NS_PER_US });
    try {
      await reload();
      this.#trouble = '';
    } catch (thrown) {
      failed(thrown);
      const { code, message } = asWireletError(thrown);
      this.#trouble = `; the config was not applied: ${code}: ${message}`;
    }
    notify({ READY: 1, STATUS: this.#statusOf(this.#appliance.stats()) });
  }

  #statusOf(stats: Stats): string {
    const text = statusText(stats, this.#before, this.#appliance.generation);
    this.#before = stats;
    return `${text}${this.#trouble}`;
  }
}

function roundsOf({ lcores }: Stats): number[] {
  return lcores.map(({ rounds }) => rounds);
}

/** `generation 3, 1.2M packets/s in, 1.2M out, 0 dropped; link down: wan`. */
export function statusText(stats: Stats, before: Stats | undefined, generation: number): string {
  const seconds = (stats.elapsedMs - (before?.elapsedMs ?? 0)) / 1000;
  const rate = (count: (each: Stats) => number) => {
    const sum = count(stats) - (before === undefined ? 0 : count(before));
    return short(seconds > 0 ? Math.round(sum / seconds) : 0);
  };
  const sumOf = (key: 'rx' | 'tx' | 'dropped') => (each: Stats) =>
    Object.values(each.ports).reduce((sum, port) => sum + port[key], 0);
  const down = Object.entries(stats.ports).filter(([, { link }]) => link === 'down');
  const rates = `${rate(sumOf('rx'))} packets/s in, ${rate(sumOf('tx'))} out`;
  const parts = [`generation ${generation}, ${rates}, ${rate(sumOf('dropped'))} dropped`];
  if (down.length > 0) parts.push(`link down: ${down.map(([name]) => name).join(', ')}`);
  const failed = stats.lcores.filter(({ state }) => state === 'failed').length;
  if (failed > 0) parts.push(`${failed} failed lcore${failed === 1 ? '' : 's'}`);
  return parts.join('; ');
}
