// Runs behind `mark` and never changes: counts every packet whose mark is not what it has to be.
import { Burst, Counter, HashTable, Packet, Verdict } from '@wirelet/runtime';

const VERSION_A: u8 = 0x41;
const VERSION_B: u8 = 0x42;

const packets = Counter.of('packets');
/** Not marked, or more than once. */
const marks = Counter.of('marks');
/** Marked by a version that does not run in that generation. */
const version = Counter.of('version');
/** Marked in another generation than this burst's: two generations in one chain. */
const mixed = Counter.of('mixed');
/** Older than the packet of its flow before it. */
const back = Counter.of('back');
/** Bursts before which this instance had not seen all of those before: it is a new one. */
const fresh = Counter.of('fresh');
const bursts = Counter.of('bursts');

/** Newest generation of each flow. */
const flows = HashTable.of<u32, u32>('flows', 1024);

let seen: u64 = 0;

export function onBurst(burst: Burst): void {
  if (bursts.value != seen) fresh.add(1);
  bursts.add(1);
  seen++;
  for (let i: u32 = 0; i < burst.count; i++) {
    const packet = burst.packet(i);
    audit(packet, burst.generation);
    packet.verdict = Verdict.Pass;
  }
  packets.add(burst.count);
}

function audit(packet: Packet, generation: u32): void {
  const marked = packet.readU32(8);
  if (packet.readU8(6) != 1) marks.add(1);
  if (packet.readU8(7) != (marked % 2 == 1 ? VERSION_A : VERSION_B)) version.add(1);
  if (marked != generation) mixed.add(1);
  // The generator's stamp is the packet's last 18 bytes; its flow is the second field.
  const flow = packet.readU32(packet.length - 16);
  if (flows.getOr(flow, 0) > marked) back.add(1);
  flows.set(flow, marked);
}
