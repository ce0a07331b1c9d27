// Many flows on two lcores: each flow has one of them, whoever sees to it, the NIC or we.
import assert from 'node:assert/strict';
import { clear, LEAST, pause, SETTLE_MS, send, until, waitForLink } from './steps.js';

const FLOWS = 32;
const PACKETS = 320;
const FRAME_BYTES = 60;
/** Where what stands in such a frame (where/index.ts). */
const [ADDRESSES_OFFSET, PORTS_OFFSET] = [26, 34];
const [NUMBER_OFFSET, LCORE_OFFSET, HASH_OFFSET] = [42, 46, 50];
/** The key that DPDK's driver of these NICs takes: the one that Microsoft verifies RSS with. */
const KEY = Buffer.from(
  '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa',
  'hex',
);

const flowOf = (number) => number % FLOWS;

/** UDP of flow `number % FLOWS`; what side 1 sends is the other direction of it. */
function frame(side, number) {
  const flow = flowOf(number);
  const bytes = Buffer.alloc(FRAME_BYTES);
  bytes.write(side === 0 ? '020000000b02020000000a01' : '020000000a01020000000b02', 0, 'hex');
  bytes.write('08004500002e00000000401100000a0000000a000100', 12, 'hex');
  const [here, there] = side === 0 ? [0, 1] : [1, 0];
  bytes.writeUInt8(here, ADDRESSES_OFFSET + 2);
  bytes.writeUInt8(flow, ADDRESSES_OFFSET + 3);
  bytes.writeUInt8(there, ADDRESSES_OFFSET + 6);
  bytes.writeUInt8(flow, ADDRESSES_OFFSET + 7);
  bytes.writeUInt16BE(side === 0 ? 4000 + flow : 53, PORTS_OFFSET);
  bytes.writeUInt16BE(side === 0 ? 53 : 4000 + flow, PORTS_OFFSET + 2);
  bytes.writeUInt16BE(26, PORTS_OFFSET + 4);
  bytes.writeUInt16BE(headerChecksum(bytes.subarray(14, 34)), 24);
  bytes.writeUInt32BE(number, NUMBER_OFFSET);
  return bytes;
}

function headerChecksum(header) {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** RSS's hash: for each bit of the input that is set, the 32 bits of the key from there on. */
export function toeplitz(input, key = KEY) {
  const bit = (bytes, at) => (bytes[at >> 3] >> (7 - (at & 7))) & 1;
  let hash = 0;
  for (let at = 0; at < input.length * 8; at++) {
    if (!bit(input, at)) continue;
    for (let of = 0; of < 32; of++) hash ^= bit(key, at + of) << (31 - of);
  }
  return hash >>> 0;
}

/** What came out by the wire across: number, lcore and hash, and nothing else was changed. */
function arrivals(wires, side) {
  return wires[1 - side].frames.map((bytes) => {
    const number = bytes.readUInt32BE(NUMBER_OFFSET);
    const sent = frame(side, number);
    assert.deepEqual(bytes.subarray(0, LCORE_OFFSET), sent.subarray(0, LCORE_OFFSET));
    assert.deepEqual(bytes.subarray(HASH_OFFSET + 4), sent.subarray(HASH_OFFSET + 4));
    const [lcore, hash] = [bytes.readUInt32BE(LCORE_OFFSET), bytes.readUInt32BE(HASH_OFFSET)];
    return { number, lcore, hash, tuple: sent.subarray(ADDRESSES_OFFSET, PORTS_OFFSET + 4) };
  });
}

/** Lcores of each flow of one side; all in order. */
function lcoresOf(seen) {
  return Array.from({ length: FLOWS }, (_, flow) => {
    const mine = seen.filter(({ number }) => flowOf(number) === flow);
    assert.ok(
      mine.every(({ number }, at) => at === 0 || number > mine[at - 1].number),
      `flow ${flow} in order`,
    );
    const lcores = new Set(mine.map(({ lcore }) => lcore));
    assert.equal(lcores.size, 1, `flow ${flow} on lcores ${[...lcores]}`);
    return [...lcores][0];
  });
}

/**
 * Sends the flows, both directions at once. `rss`: the NIC spreads them by their hash, which
 * programs see; else what its lcore received and another one's flow has went there by a ring.
 */
export async function checkFlows(machine, rss) {
  const { wires } = machine;
  await waitForLink(wires, frame);
  await send(wires, frame, 0, PACKETS);
  const fewest = () => Math.min(...wires.map(({ frames }) => frames.length));
  await until(
    () => fewest() >= PACKETS * LEAST,
    () => `${PACKETS} frames by each wire, but ${fewest()}`,
  );
  await pause(SETTLE_MS);
  const sides = [0, 1].map((side) => arrivals(wires, side));
  const lcores = sides.map(lcoresOf);
  for (const each of lcores) assert.deepEqual([...new Set(each)].sort(), [0, 1], 'lcores');
  if (rss) {
    for (const { hash, tuple, lcore } of sides.flat()) {
      assert.equal(hash, toeplitz(tuple), 'the hash that the program saw');
      // Entry i of the NIC's table of 128 is queue i modulo their number.
      assert.equal(lcore, hash & 1, 'the queue that the hash stands for');
    }
  } else {
    assert.deepEqual(lcores[0], lcores[1], 'both directions of a flow on one lcore');
  }
  clear(wires);
  const here = lcores[0].filter((lcore) => lcore === 0).length;
  return `${here} of ${FLOWS} flows on lcore 0, the others on lcore 1, in order`;
}
