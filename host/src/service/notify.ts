/** What a service manager is told, as sd_notify(3) has it. */
import { coded, native } from '../native.js';

export type ServiceState = Readonly<Record<string, string | number | bigint>>;
/** Sends it; never waits, never throws. */
export type Notify = (state: ServiceState) => void;

/**
 * Who tells the service manager of `env`; undefined where there is none. `failed` hears once that
 * nobody listens.
 */
export function serviceNotify(
  env: Readonly<Record<string, string | undefined>>,
  failed: (thrown: unknown) => void,
): Notify | undefined {
  const { NOTIFY_SOCKET: socket } = env;
  if (!socket) return undefined;
  let hasFailed = false;
  return (state) => {
    try {
      coded(() => native().notifyService(socket, stateText(state)));
    } catch (thrown) {
      if (!hasFailed) failed(thrown);
      hasFailed = true;
    }
  };
}

/** A line for each; a value has no line breaks. */
export function stateText(state: ServiceState): string {
  const line = (value: string) => value.replaceAll(/[\r\n]+/g, ' ');
  return Object.entries(state)
    .map(([name, value]) => `${name}=${line(String(value))}`)
    .join('\n');
}

/**
 * How often the service manager wants to hear that we live, in milliseconds; undefined for never.
 * WATCHDOG_PID names the process that it means.
 */
export function watchdogMs(
  env: Readonly<Record<string, string | undefined>>,
  pid = process.pid,
): number | undefined {
  const { WATCHDOG_USEC: period = '', WATCHDOG_PID: meant } = env;
  if (!/^[1-9]\d*$/.test(period)) return undefined;
  if (meant !== undefined && Number(meant) !== pid) return undefined;
  return Number(period) / 1000;
}
