import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { answers, ControlClient } from '../src/control/client.js';
import {
  defaultFaultFolder,
  defaultFolder,
  refuseForeign,
  socketPath,
} from '../src/control/path.js';
import { REQUEST_BYTES_MAX, type Request } from '../src/control/protocol.js';
import { ControlServer, type ServerOptions, type Sink } from '../src/control/server.js';
import { WireletError } from '../src/error.js';

type Handle = (request: Request, sink: Sink) => unknown;

let folder: string;
let path: string;
let servers: ControlServer[];
let sockets: Socket[];
let closed: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wirelet-control-'));
  path = join(folder, 'app.sock');
  servers = [];
  sockets = [];
  closed = 0;
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.map((server) => server.close()));
  rmSync(folder, { recursive: true, force: true });
});

async function serve(handle: Handle = () => 'ok', options: ServerOptions = {}) {
  const session = () => ({
    handle: async (request: Request, sink: Sink) => handle(request, sink),
    close: () => void closed++,
  });
  const server = await ControlServer.listen(path, session, options);
  servers.push(server);
  return server;
}

/** A client that says what it likes. */
async function raw(): Promise<Socket> {
  const socket = createConnection(path);
  sockets.push(socket);
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return socket;
}

/** Everything that comes until the other side ends, as objects. */
async function repliesOf(socket: Socket): Promise<Record<string, unknown>[]> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Writes `text` and ends; the replies. */
async function say(text: string | Uint8Array): Promise<Record<string, unknown>[]> {
  const socket = await raw();
  socket.end(text);
  return repliesOf(socket);
}

const request = (method: string, params: unknown = {}, id = 1): string =>
  `${JSON.stringify({ version: 1, id, method, params })}\n`;

describe('a request', () => {
  it('is answered on a line of its own, in order', async () => {
    await serve(({ method }) => method);
    const replies = await say(request('status', {}, 1) + request('rollback', {}, 2));
    expect(replies).toEqual([
      { id: 1, result: 'status' },
      { id: 2, result: 'rollback' },
    ]);
    expect(closed).toBe(1);
  });

  it('that goes on for ever ends when its client ends its side, or the server', async () => {
    const goOn = async (_: Request, sink: Sink) => {
      while (!sink.ended && !leaving) await new Promise((resolve) => setTimeout(resolve, 2));
      return sink.ended ? 'the client' : 'the server';
    };
    let leaving = false;
    const session = () => ({
      handle: goOn,
      end: () => {
        leaving = true;
        return true;
      },
      close: () => {},
    });
    const server = await ControlServer.listen(path, session);
    servers.push(server);
    const trace = request('trace', { target: 'wan' });
    expect(await say(trace)).toEqual([{ id: 1, result: 'the client' }]);
    // What it has sent already is no end.
    const socket = await raw();
    socket.write(trace + request('status', {}, 2));
    await new Promise((resolve) => setTimeout(resolve, 50));
    const replies = repliesOf(socket);
    await server.close();
    expect((await replies)[0]).toEqual({ id: 1, result: 'the server' });
  });

  it('comes to the handler checked and typed', async () => {
    const seen: Request[] = [];
    await serve((each) => void seen.push(each));
    const params = { program: 'guard', shadow: { durationMs: 100 } };
    expect(await say(request('swap', params))).toEqual([{ id: 1, result: null }]);
    expect(seen).toEqual([{ id: 1, method: 'swap', params }]);
  });

  it('may come in pieces, and several in one', async () => {
    await serve(({ id }) => id);
    const socket = await raw();
    const text = request('status', {}, 1) + request('status', {}, 2);
    for (const part of [text.slice(0, 5), text.slice(5, 60), text.slice(60)]) {
      socket.write(part);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    socket.end();
    expect((await repliesOf(socket)).map(({ result }) => result)).toEqual([1, 2]);
  });

  it.each([
    ['no JSON', 'status\n', null, 'no JSON'],
    ['no object', '[1]\n', null, 'the request is wrong'],
    ['another version', '{"version":2,"id":7,"method":"status","params":{}}\n', 7, 'version 2'],
    ['no method of ours', request('reboot', {}, 3), 3, 'there is no method "reboot"'],
    ['a method of objects', request('constructor', {}, 3), 3, 'no method "constructor"'],
    ['wrong parameters', request('swap', { program: 5 }, 4), 4, 'swap is wrong at program'],
    ['parameters too many', request('status', { x: 1 }, 4), 4, 'status is wrong'],
    ['an id that is none', '{"version":1,"id":"x","method":"status"}\n', null, 'wrong at id'],
    ['bytes that are no text', Uint8Array.of(0xff, 0xfe, 0, 0x0a), null, 'no JSON'],
  ])('that is %s gets a coded error, and the connection goes on', async (_name, text, id, why) => {
    await serve();
    const bytes = Buffer.concat([Buffer.from(text), Buffer.from(request('status', {}, 9))]);
    const [first, second] = await say(bytes);
    expect(first).toMatchObject({
      id,
      error: { code: 'WIRELET_E_CONTROL', message: expect.stringContaining(why) },
    });
    expect(second).toEqual({ id: 9, result: 'ok' });
  });

  it('of any bytes is answered or ignored, never a crash', async () => {
    await serve();
    const line = fc.oneof(
      fc.string(),
      fc.json(),
      fc.json().map((text) => request(text)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 5 }), async (lines) => {
        const replies = await say(`${lines.join('\n')}\n${request('status', {}, 77)}`);
        expect(replies.at(-1)).toEqual({ id: 77, result: 'ok' });
        for (const { error } of replies.slice(0, -1)) {
          expect(error).toMatchObject({ code: 'WIRELET_E_CONTROL' });
        }
      }),
      { numRuns: 100 },
    );
  });

  it('nested without end is answered', async () => {
    await serve(({ params }) => params);
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    const params = `{"directory":"/","config":${deep}}`;
    const line = `{"version":1,"id":1,"method":"plan","params":${params}}\n`;
    const [reply] = await say(line);
    expect(reply).toHaveProperty('error.code');
  });

  it('that is too long ends the connection with a code, and only that', async () => {
    await serve();
    const socket = await raw();
    socket.on('error', () => {});
    socket.write('x'.repeat(REQUEST_BYTES_MAX + 1));
    const replies = await repliesOf(socket).catch(() => []);
    expect(replies.at(-1)).toMatchObject({ error: { code: 'WIRELET_E_CONTROL' } });
    expect(await say(request('status'))).toEqual([{ id: 1, result: 'ok' }]);
  });

  it('that is cut off is no request', async () => {
    const seen: Request[] = [];
    await serve((each) => void seen.push(each));
    expect(await say(request('rollback').trimEnd())).toEqual([]);
    expect(seen).toEqual([]);
  });
});

describe('an answer', () => {
  it('may be progress and entries before it is there', async () => {
    await serve(async (_request, sink) => {
      sink.progress('half way');
      await sink.entries([{ key: 1, value: 2n ** 60n }]);
      return { bytes: Uint8Array.of(1, 255) };
    });
    const client = await ControlClient.connect(path);
    const texts: string[] = [];
    const entries: unknown[] = [];
    const result = await client.ask(
      'rollback',
      {},
      {
        onProgress: (text) => texts.push(text),
        onEntries: (each) => void entries.push(...each),
      },
    );
    client.close();
    expect(texts).toEqual(['half way']);
    expect(entries).toEqual([{ key: 1, value: '1152921504606846976' }]);
    expect(result).toEqual({ bytes: '01ff' });
  });

  it('that is an error comes with code, message, hint and details', async () => {
    await serve(() => {
      throw new WireletError('WIRELET_E_ROLLBACK', 'none there', { details: { since: 1n } });
    });
    const client = await ControlClient.connect(path);
    await expect(client.ask('rollback', {})).rejects.toMatchObject({
      code: 'WIRELET_E_ROLLBACK',
      message: 'none there',
      details: { since: 1 },
    });
    client.close();
  });

  it('of a handler with a bug is WIRELET_E_INTERNAL', async () => {
    await serve(() => {
      throw new TypeError('x is not a function');
    });
    const [reply] = await say(request('status'));
    expect(reply).toMatchObject({ id: 1, error: { code: 'WIRELET_E_INTERNAL' } });
  });

  it('to a client that has left hurts nobody', async () => {
    let answered: () => void = () => {};
    const done = new Promise<void>((resolve) => {
      answered = resolve;
    });
    await serve(async (_request, sink) => {
      while (!sink.gone) {
        await sink.entries([{ key: 1 }]);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      answered();
      return 'x'.repeat(1 << 20);
    });
    const socket = await raw();
    socket.write(request('status'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    socket.destroy();
    await done;
    expect(await answers(path)).toBe(true);
  });

  it('that nobody reads ends the connection', async () => {
    let rounds = 0;
    let gone = false;
    await serve(
      async (_request, sink) => {
        while (!sink.gone) {
          rounds++;
          await sink.entries([{ text: 'x'.repeat(1 << 20) }]);
        }
        gone = true;
      },
      { readMs: 50 },
    );
    const socket = await raw();
    socket.pause().write(request('status'));
    await expect.poll(() => gone).toBe(true);
    // What the kernel and the stream hold, and no more.
    expect(rounds).toBeLessThan(10);
  });
});

describe('clients', () => {
  it('are served at the same time', async () => {
    let release: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    await serve(({ method }) => (method === 'rollback' ? gate : 'ok'));
    const slow = say(request('rollback'));
    expect(await say(request('status'))).toEqual([{ id: 1, result: 'ok' }]);
    release();
    expect(await slow).toEqual([{ id: 1, result: null }]);
  });

  it('beyond the limit are told so, and have room when others leave', async () => {
    await serve(() => 'ok', { clientsMax: 2 });
    const [first] = [await raw(), await raw()];
    const [refused] = await say('');
    expect(refused).toMatchObject({ id: null, error: { code: 'WIRELET_E_CONTROL' } });
    first?.destroy();
    await expect.poll(() => say(request('status'))).toEqual([{ id: 1, result: 'ok' }]);
  });

  it('that say nothing are let go, those that wait for an answer are not', async () => {
    await serve(() => new Promise((resolve) => setTimeout(() => resolve('late'), 200)), {
      idleMs: 50,
    });
    const silent = raw().then(repliesOf);
    const waiting = await ControlClient.connect(path);
    expect(await waiting.ask('status', {})).toBe('late');
    expect(await silent).toEqual([]);
  });

  it('hear that the appliance ended before it answered', async () => {
    const server = await serve(() => new Promise(() => {}));
    const client = await ControlClient.connect(path);
    const asked = client.ask('status', {});
    asked.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 20));
    await server.close();
    await expect(asked).rejects.toMatchObject({
      code: 'WIRELET_E_CONTROL',
      message: 'the appliance ended before it answered status',
    });
    expect(existsSync(path)).toBe(false);
  });

  it('of something else that listens there are told so', async () => {
    const other = createServer((socket) => socket.resume().end('hello\n')).listen(path);
    await new Promise((resolve) => other.once('listening', resolve));
    const client = await ControlClient.connect(path);
    await expect(client.ask('status', {})).rejects.toMatchObject({ code: 'WIRELET_E_CONTROL' });
    client.close();
    await new Promise((resolve) => other.close(resolve));
  });

  it('of nobody get WIRELET_E_NO_APPLIANCE', async () => {
    const refused = (file: string) =>
      expect(ControlClient.connect(file)).rejects.toMatchObject({
        code: 'WIRELET_E_NO_APPLIANCE',
      });
    await refused(path);
    await refused(join(path, 'below'));
    writeFileSync(path, 'no socket');
    await refused(path);
  });
});

describe('the socket', () => {
  /** A socket whose process has died. */
  async function leaveStale(): Promise<void> {
    const dead = createServer().listen(path);
    await new Promise((resolve) => dead.once('listening', resolve));
    linkSync(path, `${path}.kept`);
    await new Promise((resolve) => dead.close(resolve));
    linkSync(`${path}.kept`, path);
    rmSync(`${path}.kept`);
    expect(await answers(path)).toBe(false);
  }

  it('is for owner and group from its first moment, and nothing else is left over', async () => {
    const before = process.umask(0);
    try {
      await serve();
    } finally {
      process.umask(before);
    }
    expect(lstatSync(path).mode & 0o777).toBe(0o660);
    expect(readdirSync(folder)).toEqual(['app.sock']);
  });

  it('of a dead appliance is replaced', async () => {
    await leaveStale();
    await serve();
    expect(await say(request('status'))).toEqual([{ id: 1, result: 'ok' }]);
    expect(readdirSync(folder)).toEqual(['app.sock']);
  });

  it('of a living one is not', async () => {
    await serve();
    await expect(serve()).rejects.toMatchObject({ code: 'WIRELET_E_CONTROL' });
    expect(await say(request('status'))).toEqual([{ id: 1, result: 'ok' }]);
    expect(readdirSync(folder)).toEqual(['app.sock']);
  });

  it('goes to one only of many that start at once, over a dead one too', async () => {
    for (let round = 0; round < 5; round++) {
      await leaveStale();
      const started = await Promise.allSettled(Array.from({ length: 8 }, () => serve()));
      const codes = started.flatMap((each) =>
        each.status === 'rejected' ? [(each.reason as WireletError).code] : [],
      );
      expect(codes).toEqual(Array.from({ length: 7 }, () => 'WIRELET_E_CONTROL'));
      expect(await say(request('status'))).toEqual([{ id: 1, result: 'ok' }]);
      await servers.pop()?.close();
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  it('never takes the place of a file', async () => {
    writeFileSync(path, 'precious');
    await expect(serve()).rejects.toMatchObject({
      code: 'WIRELET_E_CONTROL',
      message: expect.stringContaining('is no socket'),
    });
  });

  it('that somebody has put in our place stays when we go', async () => {
    const first = await serve();
    rmSync(path);
    await serve();
    await first.close();
    expect(existsSync(path)).toBe(true);
  });

  it('may lie in a folder that is not there yet, which is ours alone', async () => {
    path = join(folder, 'deep/run/app.sock');
    await serve();
    expect(lstatSync(join(folder, 'deep/run')).mode & 0o777).toBe(0o700);
  });

  it('in a place that is none is a coded error', async () => {
    writeFileSync(join(folder, 'file'), '');
    path = join(folder, 'file/app.sock');
    await expect(serve()).rejects.toMatchObject({ code: 'WIRELET_E_CONTROL' });
  });
});

describe('the path of the socket', () => {
  const directory = '/srv/dns';

  it('is what is said nearest: flag, environment, config, the name of the folder', () => {
    const env = { XDG_RUNTIME_DIR: '/run/user/7' };
    const named = { ...env, WIRELET_SOCKET: '/e.sock' };
    const config = '/c.sock';
    expect(socketPath({ flag: '/f.sock', env: named, config, directory })).toBe('/f.sock');
    expect(socketPath({ env: named, config: false, directory })).toBe('/e.sock');
    expect(socketPath({ env, config, directory })).toBe('/c.sock');
    expect(socketPath({ env, directory })).toBe('/run/user/7/wirelet/dns.sock');
    expect(socketPath({ env, config: false, directory })).toBe(false);
  });

  it('without XDG_RUNTIME_DIR is in /run for root, else in a folder of the user', () => {
    const uid = process.getuid?.() ?? 0;
    const expected = uid === 0 ? '/run/wirelet' : join(tmpdir(), `wirelet-${uid}`);
    expect(defaultFolder({})).toBe(expected);
  });

  it('must fit into a unix socket address', () => {
    const flag = `/${'x'.repeat(107)}`;
    expect(() => socketPath({ flag, env: {}, directory })).toThrow('more than 107 bytes');
  });

  it('has the faults beside it', () => {
    expect(defaultFaultFolder('/run/wirelet/dns.sock')).toBe('/run/wirelet/faults/dns');
  });

  it('in a folder that others may write to is not used', () => {
    const { TMPDIR } = process.env;
    const before = process.umask(0);
    process.env.TMPDIR = folder;
    try {
      const shared = join(folder, `wirelet-${process.getuid?.() ?? 0}`);
      mkdirSync(shared, { mode: 0o777 });
      expect(() => refuseForeign(join(shared, 'a.sock'))).toThrow('not a folder of this user');
      rmSync(shared, { recursive: true });
      mkdirSync(shared, { mode: 0o700 });
      refuseForeign(join(shared, 'a.sock'));
      rmSync(shared, { recursive: true });
      symlinkSync('/', shared);
      expect(() => refuseForeign(join(shared, 'a.sock'))).toThrow('not a folder of this user');
    } finally {
      process.umask(before);
      process.env.TMPDIR = TMPDIR ?? '';
      if (TMPDIR === undefined) delete process.env.TMPDIR;
    }
  });
});
