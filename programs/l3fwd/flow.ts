// What a packet's flow is: the key of an exact match, and a hash that chooses among equal hops.

import { IpPayload, Packet, Protocol } from '@wirelet/runtime';

const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

class Mixer {
  @inline
  static mix(value: u64): u32 {
    const mixed = (value ^ (value >> 32)) * SPREAD;
    return <u32>((mixed ^ (mixed >> 29)) >> 16);
  }
}

export class Flow4 {
  source: u32 = 0;
  destination: u32 = 0;
  sourcePort: u16 = 0;
  destinationPort: u16 = 0;
  protocol: u8 = 0;

  @inline
  get hash(): u32 {
    const addresses = ((<u64>this.source) << 32) | this.destination;
    const ports = ((<u64>this.sourcePort) << 24) | ((<u64>this.destinationPort) << 8);
    return Mixer.mix(Mixer.mix(addresses) ^ (ports | this.protocol));
  }
}

export class Flow6 {
  sourceHigh: u64 = 0;
  sourceLow: u64 = 0;
  destinationHigh: u64 = 0;
  destinationLow: u64 = 0;
  sourcePort: u16 = 0;
  destinationPort: u16 = 0;
  protocol: u8 = 0;

  @inline
  get hash(): u32 {
    const source = Mixer.mix(Mixer.mix(this.sourceHigh) ^ this.sourceLow);
    const addresses = Mixer.mix(Mixer.mix(source ^ this.destinationHigh) ^ this.destinationLow);
    const ports = ((<u64>this.sourcePort) << 24) | ((<u64>this.destinationPort) << 8);
    return Mixer.mix(addresses ^ (ports | this.protocol));
  }
}

/**
 * Source and destination port, in the upper and lower 16 bits. 0 in fragments: only the first has
 * ports, and all parts of a packet go one way.
 */
export function portsOf(packet: Packet, payload: IpPayload): u32 {
  const protocol = payload.protocol;
  const hasPorts =
    protocol == Protocol.Tcp || protocol == Protocol.Udp || protocol == Protocol.Sctp;
  if (!hasPorts || payload.isFragment || !packet.has(payload.offset, 4)) return 0;
  return packet.readU32(payload.offset);
}
