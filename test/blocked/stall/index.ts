// Swaps addresses; with `every` set it also stalls for `loops` rounds at every so many packets, and
// logs that, so that the host has callbacks to run.
import { Ethernet, log, Packet, Settings, Verdict } from '@wirelet/runtime';

const every = <u32>Settings.number('every', 0);
const loops = <u32>Settings.number('loops', 0);

let seen: u32 = 0;
let work: u32 = 1;

export function onPacket(packet: Packet): Verdict {
  Ethernet.of(packet).swapAddresses();
  if (every != 0 && ++seen == every) stall();
  return Verdict.Pass;
}

function stall(): void {
  seen = 0;
  // Each round needs the one before, so this takes the same time on every run.
  for (let i: u32 = 0; i < loops; i++) work = work * 1664525 + 1013904223;
  log(work == 0 ? 'stall.' : 'stall');
}
