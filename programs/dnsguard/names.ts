// A set of domain names that answers "is this name, or a domain above it, listed?" from the bytes
// of a DNS message, without allocating. Names are kept in wire form (RFC 1035, 3.1: a length and as
// many bytes per label) in lower case, in one array, and found by hash in an open-addressing table
// that is at most half full.
//
// A hash is taken from a name's end to its start, label by label, so that one pass over a query's
// labels gives the hash of each of its suffixes.

import { Packet } from '@wirelet/runtime';

const LABEL_BYTES_MAX: u32 = 63;
const NAME_BYTES_MAX: u32 = 255;
const LABELS_MAX: i32 = 128;
const HASH_START: u32 = 0x811c9dc5;
const HASH_FACTOR: u32 = 0x01000193;

/** What `end` is when a name is malformed. */
export const MALFORMED: u32 = 0;

export class Names {
  /** Listed names. */
  size: u32 = 0;
  /** Offset behind the name that `has` looked at last, or MALFORMED. */
  end: u32 = MALFORMED;

  private bytes: StaticArray<u8>;
  private used: u32 = 0;
  // Two words a slot: hash, and where the name starts in `bytes`, plus one; 0 is an empty slot.
  private slots: StaticArray<u32>;
  private mask: u32;
  // Offsets of the labels of the name at hand.
  private labels: StaticArray<u32> = new StaticArray<u32>(LABELS_MAX);

  constructor(names: string[]) {
    let bytes = 1;
    for (let i = 0; i < names.length; i++) bytes += names[i].length + 2;
    let slots: u32 = 16;
    while (slots < <u32>names.length * 2) slots *= 2;
    this.bytes = new StaticArray<u8>(bytes);
    this.slots = new StaticArray<u32>(<i32>(slots * 2));
    this.mask = slots - 1;
    for (let i = 0; i < names.length; i++) this.add(names[i]);
  }

  /**
   * Whether the name at `offset` of the packet, which ends before `limit`, is listed or below a
   * listed one. Sets `end`. A compression pointer is malformed here: a question comes first in its
   * message, so there is nothing to point at.
   */
  has(packet: Packet, offset: u32, limit: u32): bool {
    let at = offset;
    let count = 0;
    this.end = MALFORMED;
    while (true) {
      if (at >= limit) return false;
      const bytes: u32 = packet.readU8(at);
      if (bytes == 0) break;
      if (bytes > LABEL_BYTES_MAX || at + bytes - offset > NAME_BYTES_MAX - 2) return false;
      this.labels[count++] = at;
      at += bytes + 1;
    }
    this.end = at + 1;
    let hash = HASH_START;
    let stop = at;
    for (let i = count - 1; i >= 0; i--) {
      const start = this.labels[i];
      for (let j = start; j < stop; j++) hash = (hash ^ lower(packet.readU8(j))) * HASH_FACTOR;
      if (this.isListed(packet, start, this.end, hash)) return true;
      stop = start;
    }
    return false;
  }

  private isListed(packet: Packet, start: u32, end: u32, hash: u32): bool {
    let slot = mix(hash) & this.mask;
    while (true) {
      const place = this.slots[slot * 2 + 1];
      if (place == 0) return false;
      if (this.slots[slot * 2] == hash && this.equals(packet, start, end, place - 1)) return true;
      slot = (slot + 1) & this.mask;
    }
  }

  private equals(packet: Packet, start: u32, end: u32, place: u32): bool {
    // Both end with the empty label, so a shorter name differs before either runs out.
    for (let i: u32 = 0; start + i < end; i++) {
      if (lower(packet.readU8(start + i)) != <u32>this.bytes[place + i]) return false;
    }
    return true;
  }

  private add(name: string): void {
    const text = name.endsWith('.') ? name.substring(0, name.length - 1) : name;
    if (text.length == 0 || text.length > <i32>NAME_BYTES_MAX - 2) refuse(name);
    const labels = text.split('.');
    const place = this.used;
    let at = place;
    for (let i = 0; i < labels.length; i++) at = this.addLabel(labels[i], at, name);
    this.bytes[at] = 0;
    let hash = HASH_START;
    let stop = at;
    for (let i = labels.length - 1; i >= 0; i--) {
      const start = stop - labels[i].length - 1;
      for (let j = start; j < stop; j++) hash = (hash ^ <u32>this.bytes[j]) * HASH_FACTOR;
      stop = start;
    }
    this.used = at + 1;
    this.insert(hash, place);
  }

  private addLabel(label: string, at: u32, name: string): u32 {
    const bytes = <u32>label.length;
    if (bytes == 0 || bytes > LABEL_BYTES_MAX) refuse(name);
    this.bytes[at] = <u8>bytes;
    for (let i: u32 = 0; i < bytes; i++) {
      const unit = <u32>label.charCodeAt(i);
      if (unit <= 32 || unit > 126) refuse(name);
      this.bytes[at + 1 + i] = <u8>lower(unit);
    }
    return at + bytes + 1;
  }

  private insert(hash: u32, place: u32): void {
    let slot = mix(hash) & this.mask;
    while (this.slots[slot * 2 + 1] != 0) slot = (slot + 1) & this.mask;
    this.slots[slot * 2] = hash;
    this.slots[slot * 2 + 1] = place + 1;
    this.size++;
  }
}

/** A byte in lower case. Lengths of labels, below 64, stay what they are. */
function lower(byte: u32): u32 {
  return byte - 65 < 26 ? byte | 32 : byte;
}

/** The upper bits are the better ones of this hash; slots are taken by the lower. */
function mix(hash: u32): u32 {
  return hash ^ (hash >> 15);
}

function refuse(name: string): void {
  throw new RangeError('setting "blocked": "' + name + '" is not a domain name in ASCII');
}
