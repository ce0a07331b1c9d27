/** An engine that does what it is told and keeps what it was told: for tests of the host alone. */
import type {
  NativeAppliance,
  NativeEvent,
  NativeGenerationSpec,
  NativeProgram,
  NativeShadow,
  NativeSwap,
} from '../src/native.js';
import { FakePage } from './page.js';

/** Kinds of events, with nothing in them. */
export function nativeEvent(event: Partial<NativeEvent>): NativeEvent {
  return {
    kind: 'fault',
    timeNs: process.hrtime.bigint(),
    lcore: 0,
    name: '',
    message: '',
    generation: 1,
    frames: [],
    ...event,
  };
}

export class FakeNative implements NativeAppliance {
  readonly page: FakePage;
  /** What it was given, dry runs included. */
  readonly specs: NativeGenerationSpec[] = [];
  readonly candidates: NativeProgram[] = [];
  readonly queue: NativeEvent[] = [];
  /** Called in the middle of a swap or rollback; throws what refuses it. */
  onSwap: (spec: NativeGenerationSpec | undefined) => void | Promise<void> = () => {};
  onShadow: () => NativeShadow | Promise<NativeShadow> = () => {
    throw new Error('WIRELET_E_STATE: no shadow here');
  };
  slots: string[];
  #generation = 1;

  constructor(slots: string[], ports = 2, lcores = 1) {
    this.slots = slots;
    this.page = new FakePage({ lcores, ports, programs: slots.length + 2 });
  }

  generation = () => this.#generation;
  programSlots = () => this.slots;
  statsPage = () => this.page.buffer;
  xstatNames = () => [];
  rulesPlace = () => ({ hardware: false, counted: true, refused: '' });
  counters = () => [];
  events = () => this.queue.splice(0);
  eventsLost = () => 0;
  listenToPunts(): void {}
  punted = () => [];
  finished = () => false;
  stopped = () => true;
  framesUsed = () => 0;
  start(): void {}
  requestStop(): void {}
  close(): void {}

  async swap(spec: NativeGenerationSpec): Promise<NativeSwap> {
    this.specs.push(spec);
    await this.onSwap(spec);
    return this.#done(spec.dryRun ? this.#generation + 1 : this.advance());
  }

  async rollback(): Promise<NativeSwap> {
    await this.onSwap(undefined);
    return this.#done(this.advance());
  }

  async trace(): Promise<never> {
    throw new Error('WIRELET_E_STATE: no trace here');
  }

  async shadow(candidate: NativeProgram): Promise<NativeShadow> {
    this.candidates.push(candidate);
    return this.onShadow();
  }

  /** A generation that nobody here asked for, or the next one. */
  advance(): number {
    return ++this.#generation;
  }

  tables = () => [];
  tableRead = () => ({
    count: 0,
    keys: new Uint8Array(),
    keyBytes: 0,
    values: new Uint8Array(),
    valueBytes: 0,
    next: -1,
  });
  tableGet = () => [];
  async tableSet(): Promise<void> {}
  async tableDelete(): Promise<boolean> {
    return false;
  }
  async tableReplace(): Promise<void> {}

  #done(generation: number): NativeSwap {
    return { generation, tables: [], compileMs: 1, instantiateMs: 2, copyMs: 0, adoptMs: 3 };
  }
}
