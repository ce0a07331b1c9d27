/**
 * Numbers side by side, as many as it was made with: a `StaticArray` whose reads and writes are
 * part of what calls them. (Those of the standard library are calls, 2 ns each; a packet can't
 * afford many.) An index outside it is a fault. Make it at top level or in `onLoad`.
 *
 * ```ts
 * const ports = FixedArray.of<u16>(256);
 * const port = ports.get(index);
 * ```
 */
@final
@unmanaged
export class FixedArray<T extends number> {
  /** `length` numbers, all 0. */
  static of<T extends number>(length: i32): FixedArray<T> {
    return changetype<FixedArray<T>>(new StaticArray<T>(length));
  }

  /** How many there are. */
  @inline
  get length(): i32 {
    // An object's size stands before it, as StaticArray reads it.
    return load<u32>(changetype<usize>(this) - 4) >>> alignof<T>();
  }

  @inline
  get(index: u32): T {
    return load<T>(this.place(index));
  }

  @inline
  set(index: u32, value: T): void {
    store<T>(this.place(index), value);
  }

  @inline
  private place(index: u32): usize {
    if (index >= <u32>this.length) outside();
    return changetype<usize>(this) + ((<usize>index) << alignof<T>());
  }
}

function outside(): void {
  throw new RangeError('index outside the array');
}
