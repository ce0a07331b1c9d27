// Runs behind `mark` and never changes: counts every packet whose mark is not what it has to be.
import { Burst, Counter, HashTable, Packet, Verdict } from '@wirelet/runtime';

const VERSION_A: u8 = 0x41;
const VERSION_B: u8 = 0x42;

const packets = Counter.of('packets');
/** Marked by version A, in an odd generation, and by B, in an even one. */
const byA = Counter.of('byA');
const byB = Counter.of('byB');
/** Not marked, or more than once. */
const notOnce = Counter.of('notOnce');
/** Marked by a version that does not run in that generation. */
const wrongVersion = Counter.of('wrongVersion');
/** Marked in another generation than this burst's: two generations in one chain. */
const mixed = Counter.of('mixed');
/** Of an older generation than the packet of its flow before it. */
const wentBack = Counter.of('wentBack');
/** Bursts that this instance is the first of, but not the program. */
const replaced = Counter.of('replaced');
const bursts = Counter.of('bursts');

/** Newest generation of each flow. */
const flows = HashTable.of<u32, u32>('flows', 1024);

let seen: u64 = 0;

export function onBurst(burst: Burst): void {
  if (bursts.value != seen) replaced.add(1);
  bursts.add(1);
  seen = bursts.value;
  for (let i: u32 = 0; i < burst.count; i++) {
    const packet = burst.packet(i);
    audit(packet, burst.generation);
    packet.verdict = Verdict.Pass;
  }
  packets.add(burst.count);
}

function audit(packet: Packet, generation: u32): void {
  const marked = packet.readU32(8);
  const version = packet.readU8(7);
  const isOdd = marked % 2 == 1;
  if (version == VERSION_A && isOdd) byA.add(1);
  else if (version == VERSION_B && !isOdd) byB.add(1);
  else wrongVersion.add(1);
  if (packet.readU8(6) != 1) notOnce.add(1);
  if (marked != generation) mixed.add(1);
  // The generator's stamp is the packet's last 18 bytes; its second field is the flow.
  const flow = packet.readU32(packet.length - 16);
  if (flows.getOr(flow, 0) > marked) wentBack.add(1);
  flows.set(flow, marked);
}
