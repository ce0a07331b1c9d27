/** `wirelet run`: an appliance, until its inputs end or ^C. */
import type { Appliance } from '../appliance.js';
import { loadConfig } from '../config/load.js';
import type { ControlServer } from '../control/server.js';
import { asWireletError, type WireletError } from '../error.js';
import { linkText, reopenedText } from '../events.js';
import { faultText } from '../fault.js';
import { shownPath } from '../program.js';
import type { Service } from '../service/service.js';
import { conservation } from '../stats/conservation.js';
import type { Stats } from '../stats/stats.js';
import { changeText } from '../terminal/change-text.js';
import { canRedraw, Live } from '../terminal/live.js';
import type { Output } from '../terminal/output.js';
import { statsLine, statsText } from '../terminal/stats-text.js';
import { socketOf } from './appliance-client.js';
import type { Call } from './command.js';
import { Interrupt } from './interrupt.js';
import {
  asService,
  catchUncaught,
  create,
  drainOf,
  flagsOf,
  serve,
  stoppingText,
} from './running.js';

const TABLE_MS = 1000;

export async function run({ arguments: [path], options, output }: Call): Promise<number> {
  const drainMs = drainOf(options);
  const mode = options.text('mode');
  const env = { command: 'run', ...(mode === undefined ? {} : { mode }) };
  const readConfig = () => loadConfig(path ?? options.text('config') ?? '.', env);
  const loaded = await readConfig();
  const socket = socketOf(loaded, options);
  const appliance = await create(loaded, socket, flagsOf(options));
  const errors = report(appliance, output);
  const interrupt = new Interrupt(() => output.message(stoppingText(drainMs)));
  const stopCatching = catchUncaught(appliance);
  let server: ControlServer | undefined;
  let service: Service | undefined;
  let stopTables = () => {};
  try {
    server = await serve(appliance, socket, loaded);
    appliance.start();
    service = asService(appliance, readConfig, output);
    stopTables = showTables(appliance, output);
    output.message(`${startText(appliance, loaded.file)}; ^C stops it`);
    if (server) output.detail(`control socket: ${server.path}`);
    await Promise.race([appliance.finished, interrupt.requested]);
  } finally {
    stopTables();
    service?.stopping();
    await server?.close();
    const problem = await appliance.stop({ drainMs }).then(() => undefined, asWireletError);
    if (problem) errors.push(problem);
    stopCatching();
    interrupt.release();
  }
  print(appliance, errors, interrupt.received, output);
  return interrupt.status(errors[0]?.exitStatus ?? 0);
}

/** Says what happens while it happens; the errors are collected. */
function report(appliance: Appliance, output: Output): WireletError[] {
  const errors: WireletError[] = [];
  appliance.on('fault', (fault) => output.report((colors) => faultText(fault, colors)));
  appliance.on('log', ({ program, text }) => output.message(`[${program}] ${text}`));
  appliance.on('swap', (change) => output.message(changeText(change)));
  appliance.on('rollback', (change) => output.message(changeText(change)));
  appliance.on('link', (change) => output.message(linkText(change)));
  appliance.on('reopened', (event) => output.message(reopenedText(event)));
  appliance.on('placement', ({ port, message }) => output.message(`${port}: ${message}`));
  appliance.on('quarantine', ({ tenant, program, lcore, message }) =>
    output.message(`${tenant}/${program} is quarantined on lcore ${lcore}: ${message}`),
  );
  appliance.on('error', (error) => {
    errors.push(error);
    output.problem(error);
  });
  return errors;
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
