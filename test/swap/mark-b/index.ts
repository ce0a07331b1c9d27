// Version B of `mark`, which runs in even generations. With `loops` set, the first burst after it
// was loaded stalls for so many rounds: the negative control.
import { Burst, Counter, Settings, Verdict } from '@wirelet/runtime';

const VERSION: u8 = 0x42;
const loops = <u32>Settings.number('loops', 0);
const stalls = Counter.of('stalls');

let work: u32 = 1;
let stalled = loops == 0;

export function onBurst(burst: Burst): void {
  if (!stalled) stall();
  const generation = burst.generation;
  for (let i: u32 = 0; i < burst.count; i++) {
    const packet = burst.packet(i);
    packet.writeU8(6, packet.readU8(6) + 1);
    packet.writeU8(7, VERSION);
    packet.writeU32(8, generation);
    packet.verdict = Verdict.Pass;
  }
}

function stall(): void {
  stalled = true;
  // Each round needs the one before, so this takes the same time on every run.
  for (let i: u32 = 0; i < loops; i++) work = work * 1664525 + 1013904223;
  stalls.add(work == 0 ? 2 : 1);
}
