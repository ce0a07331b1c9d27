/** `wirelet dev`: an appliance whose programs and config are replaced as they are saved. */
import type { Appliance } from '../appliance.js';
import { compileProgram } from '../compile/compile.js';
import { closeCompiler, sharedCompiler } from '../compile/compiler.js';
import { type LoadedConfig, loadConfig } from '../config/load.js';
import type { Overrides } from '../config/overrides.js';
import type { ControlServer } from '../control/server.js';
import { CONTROL_C, Keys } from '../dev/keys.js';
import { Screen } from '../dev/screen.js';
import { type DevReports, DevSession, filesOf } from '../dev/session.js';
import { helpText, readyText, reloadedText } from '../dev/text.js';
import { Watcher } from '../dev/watcher.js';
import { asWireletError, type WireletError } from '../error.js';
import { linkText, reopenedText } from '../events.js';
import { faultText } from '../fault.js';
import type { GenerationChange } from '../generations.js';
import { changeText } from '../terminal/change-text.js';
import { errorText } from '../terminal/error-text.js';
import type { Output } from '../terminal/output.js';
import { statsText } from '../terminal/stats-text.js';
import { socketOf } from './appliance-client.js';
import type { Call, Options } from './command.js';
import { Interrupt } from './interrupt.js';
import { catchUncaught, create, drainOf, flagsOf, serve, stoppingText } from './running.js';

/** Exit statuses of what a save can mend: config and programs. */
const MENDABLE = [3, 4];

export async function run({ arguments: [path], options, output }: Call): Promise<number> {
  const drainMs = drainOf(options);
  const flags = flagsOf(options);
  // asc takes half a second to load: in it the config is read, and programs come from the cache.
  sharedCompiler().warm();
  const screen = new Screen(output);
  const interrupt = new Interrupt(() => screen.line(() => stoppingText(drainMs)));
  const development = new Development(screen, output, interrupt, () =>
    loadConfig(path ?? options.text('config') ?? '.', environmentOf(options)),
  );
  try {
    const started = await development.start(options, flags);
    if (started) await development.run(started, drainMs);
    return interrupt.status(development.errors[0]?.exitStatus ?? 0);
  } finally {
    screen.close();
    interrupt.release();
    await closeCompiler();
  }
}

/** What a config that is a function is told. */
function environmentOf(options: Options) {
  const mode = options.text('mode') ?? process.env.NODE_ENV ?? 'development';
  return { command: 'dev', mode };
}

interface Started {
  loaded: LoadedConfig;
  appliance: Appliance;
  socket: string | false;
  /** What it was made from was read after this, milliseconds since 1970. */
  readAt: number;
}

class Development {
  /** Of devices and lcores, and of the end. */
  readonly errors: WireletError[] = [];
  readonly #screen: Screen;
  readonly #output: Output;
  readonly #interrupt: Interrupt;
  readonly #readConfig: () => Promise<LoadedConfig>;
  #isEnding = false;
  /** Changes that a save has made: they are shown with what the save adds. */
  readonly #own = new WeakSet<GenerationChange>();

  constructor(
    screen: Screen,
    output: Output,
    interrupt: Interrupt,
    readConfig: () => Promise<LoadedConfig>,
  ) {
    this.#screen = screen;
    this.#output = output;
    this.#interrupt = interrupt;
    this.#readConfig = readConfig;
  }

  /** The appliance; what a save can mend is waited for. Undefined after ^C. */
  async start(options: Options, flags: Overrides): Promise<Started | undefined> {
    let files: readonly string[] = [];
    while (!this.#interrupt.received) {
      const readAt = Date.now();
      try {
        const loaded = await this.#readConfig();
        files = loaded.files;
        const socket = socketOf(loaded, options);
        return { loaded, appliance: await create(loaded, socket, flags), socket, readAt };
      } catch (thrown) {
        const error = asWireletError(thrown);
        const watched = [...files, ...filesOf(error)];
        if (!MENDABLE.includes(error.exitStatus) || watched.length === 0) throw error;
        this.#failed(error);
        this.#screen.line((colors) => colors.dim('nothing runs yet: waiting for a save'));
        await Promise.race([nextSave(watched, readAt), this.#interrupt.requested]);
      }
    }
    return undefined;
  }

  /** Runs it until ^C or q. */
  async run({ loaded, appliance, socket, readAt }: Started, drainMs: number): Promise<void> {
    this.#listen(appliance);
    const stopCatching = catchUncaught(appliance);
    let server: ControlServer | undefined;
    let session: DevSession | undefined;
    let keys: Keys | undefined;
    try {
      server = await serve(appliance, socket, loaded);
      appliance.start();
      session = new DevSession(
        targetOf(appliance, this.#readConfig),
        loaded,
        this.#reports,
        readAt,
      );
      let quit = () => {};
      const asked = new Promise<void>((resolve) => {
        quit = resolve;
      });
      keys = this.#keys(appliance, session, quit);
      this.#ready(appliance, loaded.file, server?.path, keys !== undefined);
      warmUp(appliance);
      await Promise.race([asked, this.#interrupt.requested]);
    } finally {
      this.#isEnding = true;
      keys?.close();
      session?.close();
      this.#screen.close();
      await server?.close();
      const problem = await appliance.stop({ drainMs }).then(() => undefined, asWireletError);
      if (problem) this.errors.push(problem);
      stopCatching();
    }
    this.#output.result(statsText(appliance.stats(), this.#output.colors));
  }

  #ready(appliance: Appliance, file: string, socket: string | undefined, keys: boolean): void {
    const ms = performance.now();
    const given = { file, ms, keys, ...(socket === undefined ? {} : { socket }) };
    this.#screen.line((colors) => readyText(appliance, given, colors));
    void appliance.finished.then(() => {
      if (!this.#isEnding) this.#screen.line((colors) => colors.dim('the inputs have ended'));
    });
  }

  readonly #reports: DevReports = {
    reloaded: (reloaded) => {
      if (reloaded.change) this.#own.add(reloaded.change);
      this.#screen.line((colors) => reloadedText(reloaded, colors));
    },
    failed: (error) => this.#failed(error),
  };

  #failed(error: WireletError): void {
    const { verbose } = this.#output.options;
    this.#screen.alarm((colors) => errorText(error, colors, verbose));
  }

  #listen(appliance: Appliance): void {
    const screen = this.#screen;
    // A change that a save has made is known as such once the save's own call has returned.
    const changed = (change: GenerationChange) =>
      setImmediate(() => {
        if (!this.#own.has(change)) screen.line(() => changeText(change));
      });
    appliance.on('fault', (fault) => screen.alarm((colors) => faultText(fault, colors)));
    appliance.on('log', ({ program, text }) => screen.line(() => `[${program}] ${text}`));
    appliance.on('swap', changed);
    appliance.on('rollback', changed);
    appliance.on('link', (change) => screen.line(() => linkText(change)));
    appliance.on('reopened', (event) => screen.line(() => reopenedText(event)));
    appliance.on('placement', ({ port, message }) => screen.line(() => `${port}: ${message}`));
    appliance.on('quarantine', ({ program, lcore, message }) =>
      screen.line(() => `${program} is quarantined on lcore ${lcore}: ${message}`),
    );
    appliance.on('error', (error) => {
      this.errors.push(error);
      this.#failed(error);
    });
  }

  /** Undefined where there is no terminal. */
  #keys(appliance: Appliance, session: DevSession, quit: () => void): Keys | undefined {
    if (!process.stdin.isTTY || this.#output.stderr.isTTY !== true) return undefined;
    const { colors } = this.#output;
    return new Keys(process.stdin, {
      r: () => session.reload(),
      t: () => this.#screen.toggleTable(() => appliance.stats()),
      s: () => this.#screen.result(statsText(appliance.stats(), colors)),
      q: quit,
      h: () => this.#screen.line(helpText),
      [CONTROL_C]: () => this.#interrupt.request(),
    });
  }
}

function targetOf(appliance: Appliance, readConfig: () => Promise<LoadedConfig>) {
  return {
    readConfig,
    apply: ({ config, directory, file }: LoadedConfig, changed?: ReadonlySet<string>) =>
      appliance.apply(config, { directory, file, changed }),
    programFiles: () => appliance.programFiles,
  };
}

/** Resolves at the next save of one of `files`. */
function nextSave(files: readonly string[], readAt: number): Promise<void> {
  return new Promise((resolve) => {
    const watcher = new Watcher(() => {
      watcher.close();
      resolve();
    });
    watcher.watch(files, readAt);
  });
}

/** Compiles a program for nothing, so that the first save finds a compiler that is warm. */
function warmUp(appliance: Appliance): void {
  const source = appliance.config.programs.find((program) => !program.source.endsWith('.wasm'));
  if (source) compileProgram(source.source, { cache: false }).catch(() => undefined);
}
