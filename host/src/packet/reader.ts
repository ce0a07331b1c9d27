/** A packet, its headers, and numbers in network order. */
import { type Header, type HeaderKind, type Headers, headersOf } from './headers.js';

export class PacketReader {
  readonly headers: Headers;
  readonly length: number;
  readonly #packet: Uint8Array;
  readonly #view: DataView;

  constructor(packet: Uint8Array) {
    this.headers = headersOf(packet);
    this.length = packet.length;
    this.#packet = packet;
    this.#view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  }

  /** The first header of one of these kinds. */
  find(...kinds: HeaderKind[]): Header | undefined {
    return this.headers.list.find(({ kind }) => kinds.includes(kind));
  }

  u8(at: number): number {
    return this.#view.getUint8(at);
  }

  u16(at: number): number {
    return this.#view.getUint16(at);
  }

  u32(at: number): number {
    return this.#view.getUint32(at);
  }

  bytes(at: number, count: number): Uint8Array {
    return this.#packet.subarray(at, at + count);
  }

  /** Bytes from `at` to the end that IP names. */
  rest(at: number): Uint8Array {
    return this.#packet.subarray(at, this.find('padding')?.start ?? this.length);
  }
}
