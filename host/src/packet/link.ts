/** Layers of the link: Ethernet, VLAN tags, ARP. */
import { concat, ipv4Address, mac, u8, u16 } from './bytes.js';
import { DEFAULTS, type Layer, NONE, raw } from './layer.js';

export interface EthernetFields {
  source?: string;
  destination?: string;
  type?: number;
  payload?: Layer;
  /** Bytes that the frame is padded to; 60 by default, as on a wire. */
  pad?: number;
}

/** A whole frame. */
export function ethernet(fields: EthernetFields = {}): Uint8Array {
  const payload = fields.payload ?? raw(new Uint8Array(0));
  const frame = concat(
    mac(fields.destination ?? DEFAULTS.destinationMac),
    mac(fields.source ?? DEFAULTS.sourceMac),
    u16(fields.type ?? payload.type),
    payload.bytes(NONE),
  );
  return concat(frame, new Uint8Array(Math.max(0, (fields.pad ?? 60) - frame.length)));
}

export interface VlanFields {
  id?: number;
  priority?: number;
  /** 0x8100, or 0x88a8 for the outer of two. */
  tag?: number;
  type?: number;
  payload?: Layer;
}

/** A VLAN tag around a payload. */
export function vlan(fields: VlanFields = {}): Layer {
  const payload = fields.payload ?? raw(new Uint8Array(0));
  const control = ((fields.priority ?? 0) << 13) | (fields.id ?? 1);
  const bytes = concat(u16(control), u16(fields.type ?? payload.type), payload.bytes(NONE));
  return { type: fields.tag ?? 0x8100, bytes: () => bytes };
}

export interface ArpFields {
  operation?: number;
  senderMac?: string;
  senderIp?: string;
  targetMac?: string;
  targetIp?: string;
  hardware?: number;
}

/** An ARP message, a request by default. */
export function arp(fields: ArpFields = {}): Layer {
  const bytes = concat(
    u16(fields.hardware ?? 1),
    u16(0x0800),
    u8(6),
    u8(4),
    u16(fields.operation ?? 1),
    mac(fields.senderMac ?? DEFAULTS.sourceMac),
    ipv4Address(fields.senderIp ?? DEFAULTS.source4),
    mac(fields.targetMac ?? '00:00:00:00:00:00'),
    ipv4Address(fields.targetIp ?? DEFAULTS.destination4),
  );
  return { type: 0x0806, bytes: () => bytes };
}
