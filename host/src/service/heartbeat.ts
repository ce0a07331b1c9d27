/** Whether every lcore goes on: their loops count rounds, asleep or not. */

export class Heartbeat {
  #rounds: readonly number[] = [];

  /** True when each lcore has made a round since the last call that was asked about it. */
  beats(rounds: readonly number[]): boolean {
    const before = this.#rounds;
    this.#rounds = rounds;
    return rounds.every((count, lcore) => count > (before[lcore] ?? 0));
  }
}
