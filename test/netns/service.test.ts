/**
 * `wirelet@.service`: with its capabilities and limits, and no other, ports on interfaces open; and
 * what the service manager hears. Python receives: Node.js has no unix datagram sockets.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { lockedBytesMax } from '../../host/src/doctor/facts.js';
import { Namespace, obstacle } from './namespace.js';

const BINARY = fileURLToPath(new URL('../../host/bin/wirelet.js', import.meta.url));
const UNIT = fileURLToPath(new URL('../../host/systemd/wirelet@.service', import.meta.url));
const PATIENCE_MS = 60_000;
/** Prints each datagram as a line of JSON. */
const LISTEN = `
import json, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
print('[]', flush=True)
while True:
    lines = listener.recv(65536).decode().split('\\n')
    print(json.dumps([line.split('=', 1) for line in lines]), flush=True)
`;

type Message = Record<string, string>;

/** Values of a key of the unit, in order. */
function unitValues(key: string): string[] {
  const lines = readFileSync(UNIT, 'utf8').matchAll(new RegExp(`^${key}=(.*)$`, 'gm'));
  return [...lines].map(([, value = '']) => value);
}

const reason = obstacle('setpriv', 'prlimit', 'python3', 'mkfifo');
const title = `a service${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined)(title, { timeout: 180_000 }, () => {
  let folder: string;
  let namespace: Namespace;
  let messages: Message[];
  let listener: ChildProcess;
  let child: ChildProcess;
  let errors: string;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'wirelet-service-'));
    namespace = await Namespace.create();
    [messages, errors] = [[], ''];
    listener = spawn('python3', ['-c', LISTEN, join(folder, 'notify')], { stdio: 'pipe' });
    let text = '';
    listener.stdout?.setEncoding('utf8').on('data', (part: string) => {
      const lines = (text + part).split('\n');
      text = lines.pop() ?? '';
      messages.push(...lines.map((line) => Object.fromEntries(JSON.parse(line))));
    });
    await until('it listens', () => messages.length === 1);
    messages.length = 0;
  });
  afterEach(() => {
    child?.kill('SIGKILL');
    listener.kill('SIGKILL');
    namespace.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function until(what: string, holds: () => boolean): Promise<void> {
    for (const started = performance.now(); performance.now() - started < PATIENCE_MS; ) {
      if (holds()) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`not in ${PATIENCE_MS} ms: ${what}; ${JSON.stringify(messages)} ${errors}`);
  }

  const configure = (config: object) =>
    writeFileSync(join(folder, 'wirelet.config.json'), JSON.stringify(config));

  /** Starts it as the unit would, with a watchdog of half a second. */
  function start(...words: string[]): void {
    const run = [process.execPath, BINARY, 'run', folder, '--socket', join(folder, 's.sock')];
    const [file, args] = namespace.inside([...words, ...run]);
    const env = {
      ...process.env,
      NOTIFY_SOCKET: join(folder, 'notify'),
      WATCHDOG_USEC: '500000',
      WIRELET_CACHE: join(folder, 'cache'),
    };
    child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'], env });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
  }

  test('opens every port on an interface with what the unit gives it', async () => {
    const capabilities = unitValues('CapabilityBoundingSet')[0]?.split(' ') ?? [];
    expect(unitValues('AmbientCapabilities')[0]?.split(' ')).toEqual(capabilities);
    const names = capabilities.map((name) => `+${name.replace('CAP_', '').toLowerCase()}`);
    const unit = Number.parseInt(unitValues('LimitMEMLOCK')[0] ?? '', 10) * 2 ** 20;
    // Where nobody may raise the limit, the region is small enough for it.
    const lockedBytes = Math.min(unit, lockedBytesMax(readFileSync('/proc/self/limits', 'utf8')));
    const peer = await Namespace.create();
    namespace.veth('one', peer, 'far1');
    namespace.veth('two', peer, 'far2');
    const ports = { one: 'af_xdp:one', two: 'af_packet:two', host: 'tap:wire0?mtu=1400' };
    configure({ frames: 3000, frameBytes: 2048, ports });
    start(
      ...['prlimit', `--memlock=${lockedBytes}`, 'setpriv', '--no-new-privs'],
      ...[`--bounding-set=-all,${names.join(',')}`, `--inh-caps=-all,${names.join(',')}`],
    );
    await until('READY=1', () => messages.some(({ READY }) => READY === '1'));
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
    expect(/^CapEff:\s+(\w+)$/m.exec(status)?.[1]).toBe('0000008000003000');
    expect(messages[0]).toMatchObject({ READY: '1', WATCHDOG: '1' });
    expect(messages[0]?.STATUS).toMatch(/^generation 1, .* packets\/s in/);
    child.kill('SIGTERM');
    await once(child, 'close');
    expect([child.exitCode, unitValues('SuccessExitStatus')]).toEqual([130, ['130']]);
    await until('STOPPING=1', () => messages.at(-1)?.STOPPING === '1');
    peer.close();
  });

  test('SIGHUP applies the config, and one that is broken changes nothing', async () => {
    const ports = { in: 'gen:?rate=1k', out: 'sink:' };
    configure({ frames: 4096, ports });
    start();
    await until('READY=1', () => messages.length > 0);
    configure({ frames: 4096, ports, forward: { in: 'out' } });
    child.kill('SIGHUP');
    const reloaded = (text: string) =>
      until(text, () => messages.some(({ READY, STATUS }) => READY && STATUS?.includes(text)));
    await reloaded('generation 2');
    const begun = messages.find(({ RELOADING }) => RELOADING === '1');
    expect(Number(begun?.MONOTONIC_USEC)).toBeGreaterThan(0);
    configure({ frames: 4096, ports: { in: 'nix:' } });
    child.kill('SIGHUP');
    await reloaded('not applied: WIRELET_E_CONFIG_UNKNOWN_DEVICE');
    child.kill('SIGTERM');
    await once(child, 'close');
    expect(child.exitCode).toBe(130);
  });

  test('an lcore that hangs is no sign of life', async () => {
    // A pipe that nobody reads: the lcore waits in write(2) when it is full.
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const reader = spawn('sh', ['-c', `exec sleep 120 < ${pipe}`], { stdio: 'ignore' });
    configure({
      frames: 4096,
      ports: { in: 'gen:?rate=1k&size=1500', out: `pcap:,${pipe}` },
      forward: { in: 'out' },
    });
    start();
    const signs = () => messages.map(({ WATCHDOG }) => WATCHDOG !== undefined);
    await until('it lives', () => signs().filter(Boolean).length > 1);
    await until('it hangs', () => signs().length > 6 && !signs().slice(-6).some(Boolean));
    // The host itself is well.
    expect(messages.at(-1)?.STATUS).toMatch(/^generation 1/);
    child.kill('SIGKILL');
    reader.kill('SIGKILL');
  });
});

const missing = obstacle('systemd-analyze');
describe.skipIf(missing !== undefined)(`the unit${missing ? ` (${missing})` : ''}`, () => {
  test('is understood by systemd, and exposes little', () => {
    const folder = mkdtempSync(join(tmpdir(), 'wirelet-unit-'));
    const unit = join(folder, 'wirelet@.service');
    const text = readFileSync(UNIT, 'utf8').replace('=wirelet run', `=${process.execPath} run`);
    writeFileSync(unit, text);
    const analyze = (...args: string[]) =>
      spawnSync('systemd-analyze', args, { encoding: 'utf8', timeout: 60_000 });
    const verified = analyze('verify', '--man=no', unit);
    const instance = join(folder, 'wirelet@x.service');
    writeFileSync(instance, text);
    // 0 is nothing, 10 everything; in tenths.
    const security = analyze('security', '--offline=yes', '--threshold=35', instance);
    rmSync(folder, { recursive: true });
    expect([verified.status, verified.stderr]).toEqual([0, '']);
    expect(`${security.stdout}${security.stderr}`).toMatch(/overall exposure level/i);
    expect(security.status).toBe(0);
  });
});
