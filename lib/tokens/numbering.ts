/** From the value block of a lock that was granted to its token. README.md has the proof. */
import type { Epochs } from './epochs.js';
import type { Sequencer } from './sequencer.js';
import { epochOf, firstOf, isLast, type Halves, type Sequence } from './token.js';

/** What is known of a lock's token, and where the next one goes: the value block of one lock. */
export interface TokenBlock {
  /**
   * The last token of its name for all that the block tells: what was written, unless the lock manager doubts it, or
   * this lock's own where that is newer. Undefined: it tells nothing.
   */
  readonly lastToken: Halves | undefined;
  /** From now on it is this lock's, and is written with the block. */
  setToken(high: number, low: number): void;
}

/** Gives tokens to locks that have been granted in `PW` or `EX`. */
export class Numbering {
  readonly #epochs: Epochs;
  readonly #sequencer: Sequencer;

  constructor(epochs: Epochs, sequencer: Sequencer) {
    this.#epochs = epochs;
    this.#sequencer = sequencer;
  }

  /**
   * Gives the block its token, if that takes nobody else. Returns whether it did; else it takes a sequence of its
   * own: {@link take}. Throws if there are no tokens any more.
   */
  next(block: TokenBlock): boolean {
    const last = block.lastToken;
    if (last === undefined) return false;
    const epoch = epochOf(last.high);
    const { current } = this.#epochs;
    // Nobody is ahead of what has been told: it is of another life of the lockspace, or no token.
    if (epoch > current) return false;
    if (epoch === current) {
      if (isLast(last.low)) return false;
      block.setToken(last.high, last.low + 1);
      return true;
    }
    // Nobody has had a token of this epoch for this name, so any sequence of it is larger than what there was.
    const { latest } = this.#sequencer;
    if (latest.epoch !== current) return false;
    this.#give(block, latest);
    return true;
  }

  /** Takes a sequence for the block, which gets its token then. `isWanted`: whether it still is to have it. */
  async take(block: TokenBlock, isWanted: () => boolean): Promise<void> {
    const sequence = await this.#sequencer.take();
    if (isWanted()) this.#give(block, sequence);
  }

  #give(block: TokenBlock, sequence: Sequence): void {
    const { high, low } = firstOf(sequence);
    block.setToken(high, low);
  }
}
