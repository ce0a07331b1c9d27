/** `wirelet doctor` against a namespace, capabilities and limits that are really so. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Check } from '../../host/src/doctor/check.js';
import { Namespace, obstacle } from './namespace.js';

const BINARY = fileURLToPath(new URL('../../host/bin/wirelet.js', import.meta.url));
const reason = obstacle('setpriv', 'prlimit');

const title = `wirelet doctor${reason === undefined ? '' : ` (${reason})`}`;
describe.skipIf(reason !== undefined)(title, { timeout: 60_000 }, () => {
  let namespace: Namespace;
  let peer: Namespace;
  let folder: string;

  beforeAll(async () => {
    namespace = await Namespace.create();
    peer = await Namespace.create();
    namespace.veth('wan', peer, 'there');
    folder = mkdtempSync(join(tmpdir(), 'wirelet-doctor-'));
    const ports = { wan: 'af_xdp:wan', host: 'trace():tap:wire0', old: 'af_packet:wan' };
    const config = { frames: 4096, frameBytes: 2048, ports, forward: { wan: 'host' } };
    writeFileSync(join(folder, 'wirelet.config.json'), JSON.stringify(config));
  });
  afterAll(() => {
    namespace.close();
    peer.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What it says when it is started by `words`. */
  function doctor(...words: string[]) {
    const command = [process.execPath, BINARY, 'doctor', folder, '--json'];
    const socket = ['--socket', join(folder, 'control.sock')];
    const [file, args] = namespace.inside([...words, ...command, ...socket]);
    const { status, stdout } = spawnSync(file, args, { encoding: 'utf8', timeout: 50_000 });
    const { data } = JSON.parse(stdout) as { data: { ok: boolean; checks: Check[] } };
    const missing = data.checks.filter(({ state }) => state === 'missing');
    return { status, ok: data.ok, missing: missing.map(({ name }) => name), checks: data.checks };
  }

  test('root has everything that these ports need', () => {
    const { status, ok, missing, checks } = doctor();
    expect({ status, ok, missing }).toEqual({ status: 0, ok: true, missing: [] });
    const wan = checks.find(({ name }) => name === 'wan');
    expect(wan?.found).toMatch(/^veth, up, MTU 1500, XDP native/);
    expect(checks.find(({ name }) => name === 'wire0')?.found).toBe('not there: it will be made');
    // It has changed nothing: no tap, no program, no socket.
    expect(namespace.run('ip', 'link')).not.toMatch(/wire0|xdp/);
    expect(readdirSync(folder)).toEqual(['wirelet.config.json']);
  });

  test('without capabilities each that is needed is missing: 6', () => {
    const { status, missing } = doctor('setpriv', '--bounding-set=-all', '--inh-caps=-all');
    const capabilities = ['CAP_NET_RAW', 'CAP_NET_ADMIN', 'CAP_BPF'];
    expect({ status, missing }).toEqual({ status: 6, missing: capabilities });
  });

  test('a small limit of locked memory is missing, unless CAP_IPC_LOCK is there', () => {
    const small = ['prlimit', '--memlock=4194304'];
    expect(doctor(...small)).toMatchObject({ status: 0, missing: [] });
    const { checks, missing } = doctor(...small, 'setpriv', '--bounding-set=-ipc_lock');
    expect(missing).toEqual(['locked memory']);
    expect(checks.find(({ name }) => name === 'locked memory')).toMatchObject({
      found: 'RLIMIT_MEMLOCK is 4.0 MiB; 1 af_xdp queue of 8.0 MiB need 8.0 MiB',
    });
  });

  test('an XDP program and an interface that is gone are found', () => {
    namespace.ip('link set wan mtu 3000');
    expect(doctor().checks.filter(({ state }) => state === 'missing')).toMatchObject([
      { name: 'wan', fix: 'frameBytes: 4096 in the config' },
    ]);
    namespace.ip('link del wan');
    expect(doctor()).toMatchObject({ status: 6, missing: ['wan'] });
  });
});
