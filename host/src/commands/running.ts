/** An appliance that a verb runs in this process: `run` and `dev`. */
import { type Appliance, type ApplianceOptions, createAppliance } from '../appliance.js';
import type { LoadedConfig } from '../config/load.js';
import {
  type Overrides,
  parseIdle,
  parseLcores,
  parseWhole,
  withoutUndefined,
} from '../config/overrides.js';
import { defaultFaultFolder } from '../control/path.js';
import { serveAppliance } from '../control/serve.js';
import type { ControlServer } from '../control/server.js';
import { asWireletError } from '../error.js';
import { serviceNotify, watchdogMs } from '../service/notify.js';
import { Service } from '../service/service.js';
import type { Output } from '../terminal/output.js';
import type { Options } from './command.js';

const DRAIN_DEFAULT_MS = 2000;
/** First ^C: it has ended within 5 s, of which devices and files get a part. */
const DRAIN_MAX_MS = 4000;

/** Of `--drain`. @throws WIRELET_E_USAGE */
export function drainOf(options: Options): number {
  return options.whole('drain', [0, DRAIN_MAX_MS]) ?? DRAIN_DEFAULT_MS;
}

/** What is said at the first ^C. */
export function stoppingText(drainMs: number): string {
  return `stopping: packets inside get ${drainMs} ms to leave; ^C again ends at once`;
}

/** How an appliance with this config and socket is made. */
export function applianceOptions(
  { directory, file }: LoadedConfig,
  socket: string | false,
  flags: Overrides,
): ApplianceOptions {
  const faultDirectory = socket === false ? {} : { faultDirectory: defaultFaultFolder(socket) };
  return { directory, file, flags, ...faultDirectory };
}

export function create(
  loaded: LoadedConfig,
  socket: string | false,
  flags: Overrides,
): Promise<Appliance> {
  return createAppliance(loaded.config, applianceOptions(loaded, socket, flags));
}

/** Puts it on its socket, if it has one. @throws WIRELET_E_CONTROL */
export async function serve(
  appliance: Appliance,
  socket: string | false,
  { file }: LoadedConfig,
): Promise<ControlServer | undefined> {
  return socket === false ? undefined : serveAppliance(appliance, { path: socket, config: file });
}

/** Tells the service manager how it is, and applies the config at each SIGHUP; if there is one. */
export function asService(
  appliance: Appliance,
  readConfig: () => Promise<LoadedConfig>,
  output: Output,
): Service | undefined {
  const failed = (thrown: unknown) => output.problem(asWireletError(thrown));
  const notify = serviceNotify(process.env, failed);
  if (!notify) return undefined;
  const reload = async () => {
    const { config, directory, file } = await readConfig();
    await appliance.apply(config, { directory, file });
  };
  const watchdog = watchdogMs(process.env);
  const service = new Service(appliance, { notify, watchdogMs: watchdog, reload, failed });
  // Elsewhere it is the terminal that has gone, and ends the process.
  process.on('SIGHUP', () => void service.reload());
  return service;
}

/** Flags that are stronger than the config. @throws WIRELET_E_USAGE */
export function flagsOf(options: Options): Overrides {
  const read = <T>(name: string, parse: (text: string, source: string) => T): T | undefined => {
    const text = options.text(name);
    return text === undefined ? undefined : parse(text, `--${name}`);
  };
  return withoutUndefined({
    lcores: read('lcores', parseLcores),
    burst: read('burst', parseWhole),
    idle: read('idle', parseIdle),
    frames: read('frames', parseWhole),
  });
}

/** Code of the config may fail at any time; that is reported, and the lcores go on. */
export function catchUncaught(appliance: Appliance): () => void {
  const onUncaught = (thrown: unknown) => appliance.report(thrown);
  process.on('uncaughtException', onUncaught);
  return () => process.off('uncaughtException', onUncaught);
}
