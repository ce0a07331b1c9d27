// What the table of churn/index.ts holds after so many packets, and whether a table that is being
// written can be what was read of it.

const KEYS = 1 << 20;

/** The key that packet `n` is about. */
export function keyOf(n) {
  let h = Math.imul(n ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) & (KEYS - 1);
}

/** The step at which each key was set last; 0 where it is not. */
export class Model {
  steps = new Uint32Array(KEYS);
  n = 0;

  /** Goes on to `n` packets; returns the keys that were deleted on the way. */
  advance(n) {
    const deleted = new Set();
    for (; this.n < n; this.n++) {
      const key = keyOf(this.n);
      const deletes = (this.n & 7) === 7;
      this.steps[key] = deletes ? 0 : this.n + 1;
      if (deletes) deleted.add(key);
    }
    return deleted;
  }

  /**
   * Holds what was read while the clock went from `first` to `last` against the model: every entry
   * is one that some packet left, no older than at `first` and no newer than at `last`; what is
   * missing was not there at `first`, or was deleted since. With `first` = `last` this is equality.
   * Throws; returns how many entries there were.
   */
  verify(entries, first, last) {
    this.advance(first);
    const before = this.steps.slice();
    const deleted = this.advance(last);
    const seen = new Uint8Array(KEYS);
    let count = 0;
    for (const { key, step, check } of entries) {
      const name = `key ${key}, step ${step}, clock ${first} to ${last}`;
      // Deleted behind the reader and set again before it: that is read twice, once as it was.
      if (seen[key] && !deleted.has(key)) throw new Error(`twice: ${name}`);
      count += 1 - seen[key];
      seen[key] = 1;
      const whole = check === (Math.imul(step, 0x9e3779b1) ^ key) >>> 0;
      if (!whole || keyOf(step - 1) !== key) throw new Error(`torn: ${name}`);
      if (step > last || step < before[key]) throw new Error(`not its last value: ${name}`);
      if (step <= first && step !== before[key]) throw new Error(`deleted before: ${name}`);
    }
    for (let key = 0; key < KEYS; key++) {
      if (before[key] === 0 || seen[key] || deleted.has(key)) continue;
      throw new Error(`lost: key ${key}, step ${before[key]}, clock ${first} to ${last}`);
    }
    return count;
  }
}
