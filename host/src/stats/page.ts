/**
 * Reads the counters page: memory that lcores write and the host only looks at, so that reading
 * costs the data path nothing. Layout: native/abi/src/stats.rs.
 */
import {
  ABI_VERSION,
  LCORE_BLOCK_ROUNDS,
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
} from '../abi.js';
import { WireletError } from '../error.js';

const WORD = BigUint64Array.BYTES_PER_ELEMENT;
/** Reads of one lcore's blocks before the last good copy is taken instead. */
const ATTEMPTS = 64;

export interface PageShape {
  lcores: number;
  ports: number;
  programs: number;
}

/** A copy of the page in which every lcore's blocks belong together. */
export interface PageSnapshot extends PageShape {
  cyclesHz: number;
  frames: number;
  generation: number;
  /** One block group per lcore; `read` takes a byte offset out of abi.ts. */
  groups: BlockGroup[];
}

/** One lcore's block, its ports' and its programs'. */
export interface BlockGroup {
  lcore: Block;
  ports: Block[];
  programs: Block[];
}

/** A window on copied counters; offsets in bytes, as abi.ts has them. */
export class Block {
  readonly #words: BigUint64Array;
  /** The same memory by halves: a BigInt for each of a thousand buckets takes twice the time. */
  readonly #halves: Uint32Array;
  readonly #start: number;

  constructor(words: BigUint64Array, startBytes: number) {
    this.#words = words;
    this.#halves = new Uint32Array(words.buffer, words.byteOffset, 2 * words.length);
    this.#start = startBytes / WORD;
  }

  big(offset: number): bigint {
    return this.#words[this.#start + offset / WORD] ?? 0n;
  }

  /** Exact up to 2^53: at 100 million packets per second, 2.8 years. */
  number(offset: number): number {
    const at = 2 * (this.#start + offset / WORD);
    return (this.#halves[at + 1] ?? 0) * 2 ** 32 + (this.#halves[at] ?? 0);
  }

  /** `count` words from `offset` on. */
  numbers(offset: number, count: number): number[] {
    return Array.from({ length: count }, (_, index) => this.number(offset + index * WORD));
  }
}

/** Gives the page's memory; called again only while it is not known to be shared. */
export type PageSource = () => ArrayBuffer;

/**
 * The page of one appliance.
 *
 * ```ts
 * const page = new StatsPage(() => native.statsPage());
 * page.read().groups[0]?.lcore.number(LCORE_BLOCK_PACKETS);
 * ```
 * Some runtimes (those with a V8 sandbox) copy external memory instead of sharing it. A counter
 * that moves in the buffer we hold proves that it is shared; until then every read asks anew.
 */
export class StatsPage {
  readonly #source: PageSource;
  #words: BigUint64Array;
  readonly #shape: PageShape;
  readonly #good: (BigUint64Array | undefined)[] = [];
  #shared = false;
  /** Rounds of all lcores when the buffer was taken. */
  #heldSince: bigint;

  constructor(source: PageSource) {
    this.#source = source;
    this.#words = new BigUint64Array(source());
    this.#shape = checkHeader(this.#words);
    this.#heldSince = this.#rounds(this.#words);
  }

  /** Whether a moving counter has shown that the buffer is the lcores' own memory. */
  get shared(): boolean {
    return this.#shared;
  }

  read(): PageSnapshot {
    if (!this.#shared) this.#probe();
    const header = new Block(this.#words, 0);
    return {
      ...this.#shape,
      cyclesHz: header.number(PAGE_HEADER_CYCLES_HZ),
      frames: header.number(PAGE_HEADER_FRAMES),
      generation: header.number(PAGE_HEADER_GENERATION),
      groups: Array.from({ length: this.#shape.lcores }, (_, index) => this.#readGroup(index)),
    };
  }

  #probe(): void {
    this.#shared = this.#rounds(this.#words) > this.#heldSince;
    if (this.#shared) return;
    this.#words = new BigUint64Array(this.#source());
    this.#heldSince = this.#rounds(this.#words);
  }

  #rounds(words: BigUint64Array): bigint {
    let sum = 0n;
    for (let lcore = 0; lcore < this.#shape.lcores; lcore++) {
      sum += Atomics.load(words, (this.#groupStart(lcore) + LCORE_BLOCK_ROUNDS) / WORD);
    }
    return sum;
  }

  #groupStart(lcore: number): number {
    return SIZEOF_PAGE_HEADER + lcore * groupBytes(this.#shape);
  }

  /** A copy of one lcore's blocks, taken while it did not write; the last such after many tries. */
  #readGroup(lcore: number): BlockGroup {
    const start = this.#groupStart(lcore) / WORD;
    const length = groupBytes(this.#shape) / WORD;
    const sequence = start + LCORE_BLOCK_SEQUENCE / WORD;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const before = Atomics.load(this.#words, sequence);
      if (before % 2n === 1n) continue;
      const copy = this.#words.slice(start, start + length);
      if (Atomics.load(this.#words, sequence) !== before) continue;
      this.#good[lcore] = copy;
      return splitGroup(copy, this.#shape);
    }
    return splitGroup(this.#good[lcore] ?? new BigUint64Array(length), this.#shape);
  }
}

function groupBytes(shape: PageShape): number {
  const ports = shape.ports * SIZEOF_PORT_BLOCK;
  return SIZEOF_LCORE_BLOCK + ports + shape.programs * SIZEOF_PROGRAM_BLOCK;
}

function splitGroup(words: BigUint64Array, shape: PageShape): BlockGroup {
  const portsStart = SIZEOF_LCORE_BLOCK;
  const programsStart = portsStart + shape.ports * SIZEOF_PORT_BLOCK;
  const blocks = (count: number, start: number, size: number) =>
    Array.from({ length: count }, (_, index) => new Block(words, start + index * size));
  return {
    lcore: new Block(words, 0),
    ports: blocks(shape.ports, portsStart, SIZEOF_PORT_BLOCK),
    programs: blocks(shape.programs, programsStart, SIZEOF_PROGRAM_BLOCK),
  };
}

/** The page says its own shape; anything else than ours is a bug and no reason to read on. */
function checkHeader(words: BigUint64Array): PageShape {
  const header = new Block(words, 0);
  const shape = {
    lcores: header.number(PAGE_HEADER_LCORES),
    ports: header.number(PAGE_HEADER_PORTS),
    programs: header.number(PAGE_HEADER_PROGRAMS),
  };
  const known = header.big(PAGE_HEADER_MAGIC) === STATS_MAGIC;
  const abi = header.number(PAGE_HEADER_ABI);
  const bytes = SIZEOF_PAGE_HEADER + shape.lcores * groupBytes(shape);
  if (known && abi === ABI_VERSION && bytes <= words.byteLength) return shape;
  throw new WireletError(
    'WIRELET_E_INTERNAL',
    `the counters page is not one: ABI ${abi}, ${words.byteLength} bytes`,
  );
}
