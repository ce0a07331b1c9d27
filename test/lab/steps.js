// What all checks of the lab need: patience, wires, and the appliance's last word.
import assert from 'node:assert/strict';

/** A machine in software takes a few thousand in a second. */
const PAUSE_MS = 4;
const PATIENCE_MS = 60_000;
/** Share of the frames that must get through, and how long the last ones may take. */
export const LEAST = 0.9;
export const SETTLE_MS = 500;

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export async function until(condition, what) {
  const end = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never: ${what()}`);
    await pause(20);
  }
}

/** Sends `frame(side, number)` by both wires, numbers `from` to `to`. */
export async function send(wires, frame, from, to) {
  for (let number = from; number < to; number++) {
    for (const side of [0, 1]) wires[side].send(frame(side, number));
    await pause(PAUSE_MS);
  }
}

export function clear(wires) {
  for (const wire of wires) wire.frames.length = 0;
}

/** The first frames may be lost while links come up; then all must come. */
export async function waitForLink(wires, frame) {
  await until(
    () => {
      for (const side of [0, 1]) wires[side].send(frame(side, 0));
      return wires.every(({ frames }) => frames.length > 0);
    },
    () => 'a frame in each direction',
  );
  await pause(SETTLE_MS);
  clear(wires);
}

/** Stops the appliance; whatever happened, every frame has an outcome. Returns its report. */
export async function stopped(machine) {
  machine.tell('stop');
  const { data } = JSON.parse(await machine.said('report'));
  assert.equal(await machine.said('stopped'), '130');
  assert.equal(data.conservation.exact, true, JSON.stringify(data.conservation));
  assert.equal(data.stats.framesUsed, 0, 'frames in use after the stop');
  return data;
}
