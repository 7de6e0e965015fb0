/**
 * The epoch: how often a node has come to the lockspace or left it since it came to be, one way or another. Every member
 * counts for itself, and all come to the same number at the same change, because who joins is told by one that has counted.
 *
 * Invariant: it stands for all changes that were told before, so at a grant for all that led to it.
 */
import type { DlmError } from '../errors.js';
import { EPOCH_END } from './token.js';

/** One member's. */
export class Epochs {
  #current = 0;
  #changes = 0;
  #failure: DlmError | undefined;
  readonly #exhausted: () => DlmError;

  /** @param exhausted makes the error for a member that can count no further. */
  constructor(exhausted: () => DlmError) {
    this.#exhausted = exhausted;
  }

  /** 0 until it is known. Throws if there are no tokens any more. */
  get current(): number {
    this.check();
    return this.#current;
  }

  /** Throws if there are no tokens any more. */
  check(): void {
    if (this.counted === EPOCH_END) throw this.#exhausted();
  }

  /** The same, for those who are to count on from it; {@link EPOCH_END} is told, too. */
  get counted(): number {
    if (this.#failure !== undefined) throw this.#failure;
    return this.#current;
  }

  /** How many changes this member has seen itself. */
  get changes(): number {
    return this.#changes;
  }

  /** It is at least this. Nobody is ahead of what it has been told; if somebody is after all, that is the truth. */
  reach(epoch: number): void {
    this.#current = Math.min(Math.max(this.#current, epoch), EPOCH_END);
  }

  /** Another node has come, left, or died. */
  changed(): void {
    this.#changes += 1;
    if (this.#current > 0) this.reach(this.#current + 1);
  }

  /** From now on changes cannot be counted, so there are no tokens. */
  fail(failure: DlmError): void {
    this.#failure ??= failure;
  }
}
