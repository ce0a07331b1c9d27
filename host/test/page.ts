/** A counters page as an lcore would write it, built from the generated offsets. */
import {
  ABI_VERSION,
  LCORE_BLOCK_SEQUENCE,
  PAGE_HEADER_ABI,
  PAGE_HEADER_CYCLES_HZ,
  PAGE_HEADER_FRAMES,
  PAGE_HEADER_GENERATION,
  PAGE_HEADER_LCORES,
  PAGE_HEADER_MAGIC,
  PAGE_HEADER_PORTS,
  PAGE_HEADER_PROGRAMS,
  SIZEOF_LCORE_BLOCK,
  SIZEOF_PAGE_HEADER,
  SIZEOF_PORT_BLOCK,
  SIZEOF_PROGRAM_BLOCK,
  STATS_MAGIC,
} from '../src/abi.js';
import type { PageShape } from '../src/stats/page.js';

/** Cycles of one nanosecond, so that the two are told apart in tests. */
export const CYCLES_PER_NS = 3;

export class FakePage {
  /** May be shared with a thread that writes; the reader does not care. */
  readonly buffer: ArrayBuffer;
  readonly #view: DataView;
  readonly #shape: PageShape;

  constructor(shape: PageShape, Memory: new (bytes: number) => unknown = ArrayBuffer) {
    this.#shape = shape;
    const bytes = SIZEOF_PAGE_HEADER + shape.lcores * this.#groupBytes();
    this.buffer = new Memory(bytes) as ArrayBuffer;
    this.#view = new DataView(this.buffer);
    this.header(PAGE_HEADER_MAGIC, STATS_MAGIC);
    this.header(PAGE_HEADER_ABI, BigInt(ABI_VERSION));
    this.header(PAGE_HEADER_LCORES, BigInt(shape.lcores));
    this.header(PAGE_HEADER_PORTS, BigInt(shape.ports));
    this.header(PAGE_HEADER_PROGRAMS, BigInt(shape.programs));
    this.header(PAGE_HEADER_CYCLES_HZ, BigInt(CYCLES_PER_NS) * 1_000_000_000n);
    this.header(PAGE_HEADER_FRAMES, 4096n);
    this.header(PAGE_HEADER_GENERATION, 1n);
  }

  header(offset: number, value: bigint): void {
    this.#view.setBigUint64(offset, value, true);
  }

  lcore(lcore: number, offset: number, value: number | bigint): void {
    this.#set(this.#start(lcore) + offset, value);
  }

  port(lcore: number, port: number, offset: number, value: number | bigint): void {
    this.#set(this.#start(lcore) + SIZEOF_LCORE_BLOCK + port * SIZEOF_PORT_BLOCK + offset, value);
  }

  program(lcore: number, program: number, offset: number, value: number | bigint): void {
    const ports = this.#shape.ports * SIZEOF_PORT_BLOCK;
    const at = SIZEOF_LCORE_BLOCK + ports + program * SIZEOF_PROGRAM_BLOCK;
    this.#set(this.#start(lcore) + at + offset, value);
  }

  /** As an lcore that stands in the middle of its writes. */
  writing(lcore: number, sequence: number): void {
    this.lcore(lcore, LCORE_BLOCK_SEQUENCE, sequence);
  }

  #set(at: number, value: number | bigint): void {
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  #start(lcore: number): number {
    return SIZEOF_PAGE_HEADER + lcore * this.#groupBytes();
  }

  #groupBytes(): number {
    const { ports, programs } = this.#shape;
    return SIZEOF_LCORE_BLOCK + ports * SIZEOF_PORT_BLOCK + programs * SIZEOF_PROGRAM_BLOCK;
  }
}
