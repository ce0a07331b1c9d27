// What is done with each NIC, and what has to come of it.
import assert from 'node:assert/strict';
import { checkFlows } from './flows.js';
import { clear, LEAST, pause, SETTLE_MS, send, stopped, until, waitForLink } from './steps.js';

const [A, B] = ['020000000a01', '020000000b02'];
const SIZES = [60, 1514];
const PACKETS = 400;
const HEADER_BYTES = 14;
/** NICs that spread flows over queues. Of the others most have one, however many are asked for. */
const RSS = ['igb'];
/** QEMU's vmxnet3 receives nothing with two. */
const QUEUES = { vmxnet3: 1 };
/** Of the NICs that come into a slot one after the other. */
const MACS = ['02:00:00:00:0c:01', '02:00:00:00:0c:02'];

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

/**
 * What came out of a run is in order and as it should be, and nearly all of it: an emulated NIC
 * drops when its machine is too slow, as a real one does. Returns how many are missing.
 */
async function checkRun(wires, from, to, how) {
  const sent = to - from;
  const fewest = () => Math.min(...wires.map(({ frames }) => frames.length));
  await until(
    () => fewest() >= sent * LEAST,
    () => `${sent} frames by each wire, but ${fewest()}`,
  );
  await pause(SETTLE_MS);
  for (const side of [0, 1]) {
    const seen = arrivals(wires, side);
    assert.ok(
      seen.every(({ number }, at) => at === 0 || number > seen[at - 1].number),
      'in order',
    );
    assert.ok(seen.every(({ number }) => number >= from && number < to));
    if (how) assert.deepEqual([...new Set(seen.map((each) => each.how))], [how]);
  }
  return wires.reduce((missing, { frames }) => missing + sent - frames.length, 0);
}

/** While frames flow each is macswap's or l2fwd's, and none macswap's after l2fwd's first. */
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
    await send(wires, frame, number, number + 10);
    number += 10;
  }
  assert.equal(await swapping, '0', 'the exit status of wirelet swap');
  await send(wires, frame, number, number + 50);
  number += 50;
  const missing = await checkRun(wires, PACKETS, number);
  for (const side of [0, 1]) {
    const hows = arrivals(wires, side).map(({ how }) => how);
    const first = hows.indexOf('l2fwd');
    assert.ok(first > 0, `${first} of ${hows.length} frames before the swap`);
    assert.deepEqual([...new Set(hows.slice(first))], ['l2fwd']);
  }
  const total = 2 * (number - PACKETS);
  clear(wires);
  const lost = `${missing} of them dropped by the NIC`;
  return `swap to l2fwd under ${total} frames (${lost}): none by the old program after the new one`;
}

/** With its cable out a NIC receives and sends nothing; with it in again it does. */
async function checkCut(machine) {
  const { wires } = machine;
  await machine.setLink(0, false);
  await pause(1500);
  await send(wires, frame, 0, 20);
  await pause(1000);
  const counts = wires.map(({ frames }) => frames.length);
  assert.deepEqual(counts, [0, 0], 'frames through a cable that is out');
  machine.tell('status');
  const status = await machine.said('status');
  await machine.setLink(0, true);
  await waitForLink(wires, frame);
  return /"link":"down"/.test(status)
    ? 'cable out: nothing through, and `wirelet status` says down; in again: frames again'
    : 'cable out: nothing through (the driver does not tell the link); in again: frames again';
}

async function checkStop(machine) {
  const data = await stopped(machine);
  const codes = data.errors.map(({ code }) => code);
  assert.deepEqual(codes, []);
  const ports = ['a', 'b'].map((name) => data.stats.ports[name]);
  const inside = ({ drops }) => Object.entries(drops).filter(([, count]) => count > 0);
  // A cable that is out is the one reason to drop.
  const reasons = ports.flatMap(inside).map(([reason]) => reason);
  assert.deepEqual(
    [...new Set(reasons)].filter((reason) => reason !== 'tx_error'),
    [],
  );
  const received = ports.map(({ rx }) => rx);
  return `clean stop: ${received.join(' and ')} frames received, all accounted for, none in use`;
}

/** Another NIC in its slot, bound to vfio-pci, has its port: frames both ways again. */
async function checkReturn(machine, nic, mac, from) {
  const { wires } = machine;
  const started = performance.now();
  await machine.plug(0, nic, mac);
  machine.tell('bind');
  assert.equal(await machine.said('bound'), 'vfio-pci');
  const bound = performance.now();
  await machine.said('open');
  const took = [bound - started, performance.now() - bound].map((ms) => (ms / 1000).toFixed(1));
  await waitForLink(wires, frame);
  await send(wires, frame, from, from + PACKETS);
  const missing = await checkRun(wires, from, from + PACKETS, 'macswap');
  clear(wires);
  const frames = `${2 * PACKETS - missing} of ${2 * PACKETS} frames, every byte right`;
  return `another one in its slot, bound in ${took[0]} s, open ${took[1]} s later: ${frames}`;
}

/**
 * A NIC is taken out of its slot while frames flow: its port ends, the other one goes on. Then
 * there is another one in the slot, twice.
 */
async function checkUnplug(machine, nic) {
  const { wires } = machine;
  let out = false;
  const started = performance.now();
  const unplugging = machine.unplug(0).finally(() => {
    out = true;
  });
  unplugging.catch(() => {});
  let number = 0;
  while (!out) {
    await send(wires, frame, number, number + 10);
    number += 10;
  }
  await unplugging;
  const took = ((performance.now() - started) / 1000).toFixed(1);
  await pause(SETTLE_MS);
  clear(wires);
  await send(wires, frame, number, number + 50);
  await pause(SETTLE_MS);
  const through = wires.map(({ frames }) => frames.length);
  assert.deepEqual(through, [0, 0], 'frames through a NIC that is not there');
  const gone = number + 50;
  const frames = `unplugged under ${2 * number} frames: let go in ${took} s`;
  const lines = [`${frames}, its port at its end, the other one goes on`];
  for (const mac of MACS) {
    number += PACKETS;
    lines.push(await checkReturn(machine, nic, mac, number));
    if (mac !== MACS.at(-1)) await machine.unplug(0);
  }
  const { stats, errors } = await stopped(machine);
  const { a, b } = stats.ports;
  assert.deepEqual([a.mac, a.link], [MACS.at(-1), 'up']);
  // What came by the other one since then is counted, and has nowhere to go.
  assert.ok(b.drops.tx_error >= 50 * LEAST, `${b.drops.tx_error} frames for a NIC that is gone`);
  assert.ok(b.rx >= gone * LEAST, `${b.rx} frames received by the other NIC`);
  assert.deepEqual(
    errors.map(({ code }) => code),
    ['WIRELET_E_INTERFACE_GONE', 'WIRELET_E_INTERFACE_GONE'],
  );
  return lines;
}

/** What `wirelet doctor` says of a machine that has everything. */
async function checkDoctor(machine, nics) {
  machine.tell('doctor');
  const { checks } = JSON.parse(await machine.said('doctor')).data;
  const names = ['DPDK', 'DPDK plugin', ...nics, 'IOMMU', 'hugepages for NICs'];
  const found = checks.filter(({ name }) => names.includes(name));
  assert.deepEqual(
    found.map(({ name, state }) => `${name} ${state}`),
    names.map((name) => `${name} ok`),
  );
  const ofNics = found.filter(({ name }) => nics.includes(name)).map((check) => check.found);
  return `wirelet doctor: ${ofNics.join('; ')}; IOMMU, hugepages, DPDK and plugin are there`;
}

/** Two lcores: the NIC's RSS keeps flows apart, or, where it has none, we do. */
async function checkAffinity(machine, nic) {
  const rss = RSS.includes(nic);
  machine.tell(`flows ${rss ? 'flow' : 'symmetric'} ${QUEUES[nic] ?? 2}`);
  await machine.said('running');
  const flows = await checkFlows(machine, rss);
  const { stats, errors } = await stopped(machine);
  assert.deepEqual(errors, []);
  const steered = stats.ports.a.steered + stats.ports.b.steered;
  assert.equal(steered > 0, !rss, `${steered} packets steered`);
  return rss
    ? `RSS: ${flows}; the hash in the descriptor is Toeplitz's`
    : `one queue: ${flows}, both directions together; ${steered} packets steered by a ring`;
}

/** The NICs as the machine's first lines name them, each bound to this driver. */
async function boundTo(machine, driver) {
  const nics = [];
  for (const _ of [0, 1]) {
    const [, name, vendor, device, bound] =
      /^(\S+) 0x(\S+) 0x(\S+) driver (\S+)/.exec(await machine.said('nic')) ?? [];
    assert.equal(bound, driver);
    nics.push({ name, line: `${name} is ${vendor}:${device}, by ${driver}` });
  }
  return nics;
}

const REFUSALS = [
  ['va', 'which is bound to uio_pci_generic; bind it to vfio-pci'],
  ['pa', 'frames have those only in hugepages that they fill without a rest'],
];

/** Physical addresses: frames that fill hugepages have them, all else is refused in a sentence. */
export async function checkPhysical(machine) {
  const nics = await boundTo(machine, 'uio_pci_generic');
  const lines = nics.map(({ line }) => line);
  for (const [mode, sentence] of REFUSALS) {
    machine.tell(`refuse ${mode}`);
    assert.equal(await machine.said('status'), '1');
    const { code, message } = JSON.parse(await machine.said('refused')).data;
    assert.equal(code, 'WIRELET_E_DEVICE_OPEN');
    assert.ok(message.includes(sentence), message);
    lines.push(`--iova-mode=${mode}: refused: ${sentence}`);
  }
  const { wires } = machine;
  machine.tell('physical');
  await machine.said('running');
  await waitForLink(wires, frame);
  await send(wires, frame, 0, PACKETS);
  const missing = await checkRun(wires, 0, PACKETS, 'macswap');
  lines.push(`--iova-mode=pa, frames of 4,096 bytes: ${2 * PACKETS - missing} frames, all right`);
  clear(wires);
  lines.push(await checkStop(machine));
  return lines;
}

/** Everything with one machine; returns a line for each thing that was shown. */
export async function checkNic(machine, nic) {
  const { wires } = machine;
  const nics = await boundTo(machine, 'vfio-pci');
  const lines = nics.map(({ line }) => line);
  machine.tell('again');
  await machine.said('running');
  await waitForLink(wires, frame);
  await send(wires, frame, 0, PACKETS);
  const missing = await checkRun(wires, 0, PACKETS, 'macswap');
  const came = 2 * PACKETS - missing;
  lines.push(`macswap: ${came} of ${2 * PACKETS} frames, 60 and 1,514 bytes, every byte right`);
  clear(wires);
  lines.push(await swapUnderTraffic(machine));
  lines.push(await checkCut(machine));
  lines.push(await checkStop(machine));
  lines.push(
    await checkDoctor(
      machine,
      nics.map(({ name }) => name),
    ),
  );
  lines.push(await checkAffinity(machine, nic));
  machine.tell('again');
  await machine.said('running');
  await waitForLink(wires, frame);
  await send(wires, frame, 0, 50);
  await checkRun(wires, 0, 50, 'macswap');
  clear(wires);
  lines.push('a second start works');
  return [...lines, ...(await checkUnplug(machine, nic))];
}
