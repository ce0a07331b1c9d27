// What is done with each NIC, and what has to come of it.
import assert from 'node:assert/strict';

const [A, B] = ['020000000a01', '020000000b02'];
const SIZES = [60, 1514];
const PACKETS = 400;
/** A machine in software takes a few thousand in a second. */
const PAUSE_MS = 2;
const PATIENCE_MS = 20_000;
const HEADER_BYTES = 14;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** Frame `number` from one side, of a size that it chooses; every byte of it is known. */
function frame(side, number) {
  const [destination, source] = side === 0 ? [B, A] : [A, B];
  const bytes = Buffer.alloc(SIZES[number % SIZES.length]);
  Buffer.from(`${destination}${source}88b5`, 'hex').copy(bytes);
  for (let at = HEADER_BYTES; at < bytes.length; at++) bytes[at] = (number * 31 + at * 7) & 255;
  bytes.writeUInt32BE(number, HEADER_BYTES);
  return bytes;
}

/** As macswap leaves it. */
function swapped(bytes) {
  const copy = Buffer.from(bytes);
  bytes.copy(copy, 0, 6, 12);
  bytes.copy(copy, 6, 0, 6);
  return copy;
}

async function until(condition, what) {
  const end = performance.now() + PATIENCE_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never: ${what()}`);
    await pause(20);
  }
}

/** Sends frames `from` to `to` by both wires. */
async function send(wires, from, to) {
  for (let number = from; number < to; number++) {
    for (const side of [0, 1]) wires[side].send(frame(side, number));
    await pause(PAUSE_MS);
  }
}

/** Frames that one side sent and the other got: their number, and whether macs were swapped. */
function arrivals(wires, side) {
  return wires[1 - side].frames.map((bytes) => {
    const number = bytes.readUInt32BE(HEADER_BYTES);
    const sent = frame(side, number);
    if (bytes.equals(swapped(sent))) return { number, how: 'macswap' };
    if (bytes.equals(sent)) return { number, how: 'l2fwd' };
    throw new Error(`frame ${number} came out as ${bytes.subarray(0, 64).toString('hex')}`);
  });
}

/** All of a run came out, in order, each as it should have. */
async function checkRun(wires, from, to, how) {
  const count = () => wires.map(({ frames }) => frames.length).join(' and ');
  const all = () => wires.every(({ frames }) => frames.length >= to - from);
  await until(all, () => `${to - from} frames by each wire, but ${count()}`);
  for (const side of [0, 1]) {
    const seen = arrivals(wires, side);
    const numbers = seen.map(({ number }) => number);
    assert.deepEqual(
      numbers,
      Array.from({ length: to - from }, (_, index) => from + index),
    );
    if (how) assert.deepEqual([...new Set(seen.map((each) => each.how))], [how]);
  }
}

const clear = (wires) => {
  for (const wire of wires) wire.frames.length = 0;
};

/** The first frames may be lost while links come up; then all must come. */
async function waitForLink(wires) {
  await until(
    () => {
      for (const side of [0, 1]) wires[side].send(frame(side, 0));
      return wires.every(({ frames }) => frames.length > 0);
    },
    () => 'a frame in each direction',
  );
  await pause(500);
  clear(wires);
}

/** Swaps while frames flow: each is macswap's or l2fwd's, and none macswap's after the first of l2fwd's. */
async function swapUnderTraffic(machine) {
  const { wires } = machine;
  const swapping = machine.said('swapped');
  let done = false;
  swapping
    .finally(() => {
      done = true;
    })
    .catch(() => {});
  let number = PACKETS;
  machine.tell('swap');
  while (!done) {
    await send(wires, number, number + 10);
    number += 10;
  }
  assert.equal(await swapping, '0', 'the exit status of wirelet swap');
  await send(wires, number, number + 50);
  number += 50;
  await checkRun(wires, PACKETS, number);
  for (const side of [0, 1]) {
    const hows = arrivals(wires, side).map(({ how }) => how);
    const first = hows.indexOf('l2fwd');
    assert.ok(first > 0, `${first} of ${hows.length} frames before the swap`);
    assert.deepEqual([...new Set(hows.slice(first))], ['l2fwd']);
  }
  const total = 2 * (number - PACKETS);
  clear(wires);
  return `swap to l2fwd while ${total} frames went through: 0 lost, 0 by the old program after it`;
}

/** With its cable out a NIC receives and sends nothing; with it in again it does. */
async function checkCut(machine) {
  const { wires } = machine;
  await machine.setLink(0, false);
  await pause(1500);
  await send(wires, 0, 20);
  await pause(1000);
  const counts = wires.map(({ frames }) => frames.length);
  assert.deepEqual(counts, [0, 0], 'frames through a cable that is out');
  machine.tell('status');
  const status = await machine.said('status');
  await machine.setLink(0, true);
  await waitForLink(wires);
  return /"link":"down"/.test(status)
    ? 'cable out: nothing through, and `wirelet status` says down; in again: frames again'
    : 'cable out: nothing through (the driver does not tell the link); in again: frames again';
}

async function checkStop(machine) {
  machine.tell('stop');
  const { data } = JSON.parse(await machine.said('report'));
  assert.equal(await machine.said('stopped'), '130');
  assert.equal(data.conservation.exact, true, JSON.stringify(data.conservation));
  assert.equal(data.stats.framesUsed, 0, 'frames in use after the stop');
  const codes = data.errors.map(({ code }) => code);
  assert.deepEqual(codes, []);
  const received = ['a', 'b'].map((name) => data.stats.ports[name].rx);
  return `clean stop: ${received.join(' and ')} frames received, all accounted for, none in use`;
}

/** Everything with one machine; returns a line for each thing that was shown. */
export async function checkNic(machine) {
  const { wires } = machine;
  const lines = [];
  for (const _ of [0, 1]) {
    const [, name, vendor, device, driver] =
      /^(\S+) 0x(\S+) 0x(\S+) driver (\S+)/.exec(`${await machine.said('nic')}`) ?? [];
    assert.equal(driver, 'vfio-pci');
    lines.push(`${name} is ${vendor}:${device}, by vfio-pci`);
  }
  await machine.said('running');
  await waitForLink(wires);
  await send(wires, 0, PACKETS);
  await checkRun(wires, 0, PACKETS, 'macswap');
  lines.push(`macswap: ${PACKETS} frames of 60 and 1,514 bytes each way, every byte as expected`);
  clear(wires);
  lines.push(await swapUnderTraffic(machine));
  lines.push(await checkCut(machine));
  lines.push(await checkStop(machine));
  machine.tell('again');
  await machine.said('running');
  await waitForLink(wires);
  await send(wires, 0, 50);
  await checkRun(wires, 0, 50, 'macswap');
  clear(wires);
  machine.tell('stop');
  await machine.said('stopped');
  lines.push('a second start works');
  return lines;
}
