/** `wirelet run`: an appliance, until its inputs end or ^C. */
import { type Appliance, createAppliance } from '../appliance.js';
import { type LoadedConfig, loadConfig } from '../config/load.js';
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
import { asWireletError, type WireletError } from '../error.js';
import { faultText } from '../fault.js';
import { shownPath } from '../program.js';
import { conservation } from '../stats/conservation.js';
import type { Stats } from '../stats/stats.js';
import { changeText } from '../terminal/change-text.js';
import { canRedraw, Live } from '../terminal/live.js';
import type { Output } from '../terminal/output.js';
import { statsLine, statsText } from '../terminal/stats-text.js';
import { socketOf } from './appliance-client.js';
import type { Call, Options } from './command.js';
import { Interrupt } from './interrupt.js';

const TABLE_MS = 1000;
const DRAIN_DEFAULT_MS = 2000;
/** First ^C: it has ended within 5 s, of which devices and files get a part. */
const DRAIN_MAX_MS = 4000;

export async function run({ arguments: [path], options, output }: Call): Promise<number> {
  const drainMs = options.whole('drain', [0, DRAIN_MAX_MS]) ?? DRAIN_DEFAULT_MS;
  const mode = options.text('mode');
  const loaded = await loadConfig(path ?? options.text('config') ?? '.', {
    command: 'run',
    ...(mode === undefined ? {} : { mode }),
  });
  const socket = socketOf(loaded, options);
  const appliance = await create(loaded, socket, flagsOf(options));
  const errors = report(appliance, output);
  const interrupt = new Interrupt(() => {
    output.message(`stopping: packets inside get ${drainMs} ms to leave; ^C again ends at once`);
  });
  const stopCatching = catchUncaught(appliance);
  let server: ControlServer | undefined;
  let stopTables = () => {};
  try {
    server = await serve(appliance, socket, loaded);
    appliance.start();
    stopTables = showTables(appliance, output);
    output.message(`${startText(appliance, loaded.file)}; ^C stops it`);
    if (server) output.detail(`control socket: ${server.path}`);
    await Promise.race([appliance.finished, interrupt.requested]);
  } finally {
    stopTables();
    await server?.close();
    const problem = await appliance.stop({ drainMs }).then(() => undefined, asWireletError);
    if (problem) errors.push(problem);
    stopCatching();
    interrupt.release();
  }
  print(appliance, errors, interrupt.received, output);
  return interrupt.status(errors[0]?.exitStatus ?? 0);
}

function create(
  { config, directory, file }: LoadedConfig,
  socket: string | false,
  flags: Overrides,
): Promise<Appliance> {
  const faultDirectory = socket === false ? {} : { faultDirectory: defaultFaultFolder(socket) };
  return createAppliance(config, { directory, file, flags, ...faultDirectory });
}

async function serve(
  appliance: Appliance,
  socket: string | false,
  { file }: LoadedConfig,
): Promise<ControlServer | undefined> {
  return socket === false ? undefined : serveAppliance(appliance, { path: socket, config: file });
}

function flagsOf(options: Options): Overrides {
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

/** Says what happens while it happens; the errors are collected. */
function report(appliance: Appliance, output: Output): WireletError[] {
  const errors: WireletError[] = [];
  appliance.on('fault', (fault) => output.report((colors) => faultText(fault, colors)));
  appliance.on('log', ({ program, text }) => output.message(`[${program}] ${text}`));
  appliance.on('swap', (change) => output.message(changeText(change)));
  appliance.on('rollback', (change) => output.message(changeText(change)));
  appliance.on('quarantine', ({ tenant, program, lcore, message }) =>
    output.message(`${tenant}/${program} is quarantined on lcore ${lcore}: ${message}`),
  );
  appliance.on('error', (error) => {
    errors.push(error);
    output.problem(error);
  });
  return errors;
}

/** Code of the config may fail at any time; that is reported, and the lcores go on. */
function catchUncaught(appliance: Appliance): () => void {
  const onUncaught = (thrown: unknown) => appliance.report(thrown);
  process.on('uncaughtException', onUncaught);
  return () => process.off('uncaughtException', onUncaught);
}

/** A table each second on a terminal, elsewhere a line with --verbose; the end of it. */
function showTables(appliance: Appliance, output: Output): () => void {
  let before: Stats | undefined;
  const redraw = canRedraw(output.stdout, process.env);
  const live = redraw && !output.options.json ? new Live(output.stdout) : undefined;
  const timer = setInterval(() => {
    const stats = appliance.stats();
    if (live) live.draw(statsText(stats, output.colors, before));
    else output.detail(statsLine(stats, before));
    before = stats;
  }, TABLE_MS);
  return () => {
    clearInterval(timer);
    live?.clear();
  };
}

function startText(appliance: Appliance, file: string): string {
  const { lcores, ports, programs } = appliance.config;
  const count = (items: readonly unknown[], noun: string) =>
    `${items.length} ${noun}${items.length === 1 ? '' : 's'}`;
  const parts = [count(lcores, 'lcore'), count(ports, 'port'), count(programs, 'program')];
  return `${shownPath(file)}: ${parts.join(', ')} running`;
}

function print(
  appliance: Appliance,
  errors: WireletError[],
  interrupted: boolean,
  output: Output,
): void {
  const stats = appliance.stats();
  output.result(statsText(stats, output.colors));
  const counters = appliance.counters();
  output.json('wirelet.run/1', {
    interrupted,
    stats,
    counters,
    conservation: conservation(stats),
    errors,
  });
}
