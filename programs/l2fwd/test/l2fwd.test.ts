// What needs several ports and a clock.

import { beforeEach, expect, test, vi } from 'vitest';
import { testProgram, udp } from 'wirelet/test';

// Compiling takes long on a machine that does other things.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const SECOND = 1_000_000_000;
const settings = { ageSeconds: 10, capacity: 1000 };
const bridge = await testProgram('programs/l2fwd', { settings });

const mac = (host: number): string => `02:00:00:00:00:${host.toString(16).padStart(2, '0')}`;
const frame = (from: number, to: number) => udp({ fromMac: mac(from), toMac: mac(to) });
/** A frame from one host to another that comes in by `port`, `seconds` after the start. */
const send = (from: number, to: number, port: number, seconds = 0) =>
  bridge.send(frame(from, to), { port, nowNs: (1 + seconds) * SECOND });

beforeEach(() => bridge.reset());

test('a station that was heard is sent to by its port alone', () => {
  expect(send(1, 2, 0)).toFlood();
  expect(send(2, 1, 1)).toRedirect(0);
  expect(send(1, 2, 0)).toRedirect(1);
  expect(send(3, 1, 2)).toRedirect(0);
  expect(send(3, 2, 2)).toRedirect(1);
  expect(bridge.counters).toMatchObject({ flooded: 1, forwarded: 4, learned: 3, moved: 0 });
});

test('a station behind the port of arrival needs no bridge', () => {
  send(1, 9, 0);
  expect(send(2, 1, 0)).toDrop();
  expect(bridge.counter('filtered')).toBe(1);
});

test('a station that moves is found at its new port at once', () => {
  send(1, 9, 0);
  expect(send(2, 1, 1)).toRedirect(0);
  send(1, 9, 2);
  expect(send(2, 1, 1)).toRedirect(2);
  expect(bridge.counters).toMatchObject({ moved: 1, learned: 2 });
});

test('within one burst, too', () => {
  const packets = [frame(1, 2), frame(1, 1), frame(3, 1)];
  const outcomes = bridge.send(packets, { port: 0 });
  expect(outcomes[0]).toFlood();
  expect(outcomes.slice(1)).toDrop();
});

test('a station that is quiet for longer than its age is forgotten', () => {
  send(1, 9, 0);
  expect(send(2, 1, 1, 10)).toRedirect(0);
  expect(send(2, 1, 1, 10.000000001)).toFlood();
  // Being sent to is no sign of life; sending is.
  send(1, 9, 0, 20);
  expect(send(2, 1, 1, 30)).toRedirect(0);
  expect(bridge.counters).toMatchObject({ learned: 4, moved: 0 });
});

test('an old station that comes back elsewhere is learned, not moved', () => {
  send(1, 9, 0);
  send(1, 9, 1, 60);
  expect(bridge.counters).toMatchObject({ learned: 2, moved: 0 });
});

test('a storm of addresses takes the oldest places and no others', () => {
  send(200, 9, 3, 0);
  for (let host = 0; host < 200; host++) send(host, 9, 0, 1);
  expect(send(201, 200, 1, 2)).toRedirect(3);
  expect(bridge.table('stations').entries).toHaveLength(202);
});
