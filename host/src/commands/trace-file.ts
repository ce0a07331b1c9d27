/** The file of `wirelet trace --pcap`: packets as they come. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { WireletError } from '../error.js';
import { pcapngInterface, pcapngPacket, pcapngSection } from '../pcapng.js';
import type { TracedPacket } from '../trace.js';

export class TraceFile {
  readonly #path: string;
  readonly #file: number;
  /** In the order in which they stand in the file. */
  readonly #interfaces: string[] = [];

  /** Creates the file, or empties it. @throws WIRELET_E_OUTPUT */
  constructor(path: string) {
    this.#path = path;
    this.#file = this.#must(() => openSync(path, 'w'));
    this.#must(() => writeSync(this.#file, pcapngSection()));
  }

  /** @throws WIRELET_E_OUTPUT */
  write(packets: readonly TracedPacket[]): void {
    const blocks = packets.flatMap((packet) => this.#blocks(packet));
    if (blocks.length > 0) this.#must(() => this.#writeAll(Buffer.concat(blocks)));
  }

  close(): void {
    closeSync(this.#file);
  }

  #blocks({ port, moment, packet, timeNs, length, ...rest }: TracedPacket): Uint8Array[] {
    const blocks: Uint8Array[] = [];
    if (!this.#interfaces.includes(port)) {
      this.#interfaces.push(port);
      blocks.push(pcapngInterface(port));
    }
    const block = pcapngPacket({
      bytes: packet,
      timeNs,
      length,
      interface: this.#interfaces.indexOf(port),
      direction: moment === 'tx' ? 'out' : 'in',
      comment: moment === 'before' ? 'before the program changed it' : rest.note,
    });
    return [...blocks, block];
  }

  #writeAll(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#file, bytes, at);
  }

  #must<T>(work: () => T): T {
    try {
      return work();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new WireletError('WIRELET_E_OUTPUT', `${this.#path}: ${reason}`, { cause });
    }
  }
}
