/**
 * The decisions that the real system takes by chance, in the order in which a run comes to them. A run
 * follows those that it was given and takes the first possibility after that; what it came to is kept, so
 * that the next run can decide otherwise.
 */

/** One decision that was taken: which of how many. */
interface Decision {
  readonly file: number;
  readonly step: number;
  readonly count: number;
  chosen: number;
}

/** The decisions of one run after the other. */
export class Choices {
  /** By file: files have nothing to do with each other. */
  readonly #taken = new Map<number, Decision[]>();
  #position = new Map<number, number>();

  /** A new run begins. */
  begin(): void {
    this.#position = new Map();
  }

  /** Which of `count` possibilities this run takes, in a matter of this file. */
  choose(file: number, step: number, count: number): number {
    if (count === 1) return 0;
    const taken = this.#taken.get(file) ?? [];
    this.#taken.set(file, taken);
    const position = this.#position.get(file) ?? 0;
    this.#position.set(file, position + 1);
    const before = taken[position];
    if (before?.step === step && before.count === count) return before.chosen;
    taken.length = position;
    taken.push({ file, step, count, chosen: 0 });
    return 0;
  }

  /**
   * Decides one thing otherwise: the last one about this file, up to and including this step, that has
   * a possibility left. Returns false when all have been tried.
   */
  advance(file: number, step: number): boolean {
    const taken = this.#taken.get(file) ?? [];
    while (taken.length > 0) {
      const last = taken.at(-1);
      if (last && last.step <= step && last.chosen + 1 < last.count) {
        last.chosen += 1;
        return true;
      }
      taken.pop();
    }
    return false;
  }
}
