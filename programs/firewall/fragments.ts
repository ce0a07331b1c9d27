// Parts of packets: the first has the ports and is decided like any packet, the others go its way.
//
// That is right only while nobody can put other ports in place of the first part's, once it has
// passed: a later part that begins inside the first one is dropped (RFC 1858, RFC 5722).

import { Clock, LruTable } from '@wirelet/runtime';
import { Tuple } from './tuple';

/** Receivers wait for missing parts for 30 to 60 s (RFC 8200, 4.5; Linux 30). */
const LIFETIME_NS: u64 = 30_000_000_000;
const CAPACITY: u32 = 4096;

class FragmentKey {
  sourceHigh: u64 = 0;
  sourceLow: u64 = 0;
  destinationHigh: u64 = 0;
  destinationLow: u64 = 0;
  identification: u64 = 0;
}

class FirstFragment {
  atNs: u64 = 0;
  /** Bytes of the packet's payload that it has. */
  bytes: u32 = 0;
  passes: u32 = 0;
}

const firsts = LruTable.of<FragmentKey, FirstFragment>('fragments', CAPACITY);
const key = new FragmentKey();

export class Fragments {
  /** Keeps what became of a first fragment with so many bytes of payload. */
  static remember(tuple: Tuple, identification: u32, bytes: u32, passes: bool): void {
    fillKey(tuple, identification);
    const first = firsts.getOrInsert(key);
    first.atNs = Clock.nowNs;
    first.bytes = bytes;
    first.passes = passes ? 1 : 0;
  }

  /** Whether a later fragment, `offset` bytes from the payload's start, passes. */
  static passes(tuple: Tuple, identification: u32, offset: u32): bool {
    fillKey(tuple, identification);
    const first = firsts.get(key);
    if (first == null || Clock.nowNs - first.atNs > LIFETIME_NS) return false;
    return first.passes != 0 && offset >= first.bytes;
  }
}

function fillKey(tuple: Tuple, identification: u32): void {
  key.sourceHigh = tuple.sourceHigh;
  key.sourceLow = tuple.sourceLow;
  key.destinationHigh = tuple.destinationHigh;
  key.destinationLow = tuple.destinationLow;
  // IPv4 identifications are per protocol (RFC 791), IPv6 ones are not (RFC 8200).
  const protocol: u64 = tuple.isIpv6 ? 0x100 : tuple.protocol;
  key.identification = (protocol << 32) | identification;
}
