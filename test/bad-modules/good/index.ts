// What runs while bad modules come and go. Notices when its instance is not the one it was.
import { Burst, Counter, HashTable, Verdict } from '@wirelet/runtime';

const flows = HashTable.of<u32, u64>('flows', 1024);
const bursts = Counter.of('bursts');
/** Bursts that an instance is the first to see, but for the program's first. */
const replaced = Counter.of('replaced');

let seen: u64 = 0;

export function onBurst(burst: Burst): void {
  if (bursts.value != seen) replaced.add(1);
  bursts.add(1);
  seen = bursts.value;
  for (let i: u32 = 0; i < burst.count; i++) {
    const packet = burst.packet(i);
    // The flow in the generator's stamp, which is the packet's last 18 bytes.
    flows.add(packet.readU32(packet.length - 16), 1);
    packet.verdict = Verdict.Pass;
  }
}
