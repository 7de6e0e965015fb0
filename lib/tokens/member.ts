/**
 * How a process becomes a member of a lockspace with tokens, and tells the epoch to those who come after it.
 *
 * Who opens has the door to itself, takes a place among the members, and asks for it in `EX`. Alone it gets that, and
 * begins a new count. Else the others find it in their way: they write the epoch, and queue up in the hall, which is how
 * the opener hears of it. README.md says why the epoch is exact then.
 */
import type { DlmError } from '../errors.js';
import { Epochs } from './epochs.js';
import * as failures from './failures.js';
import { NAMES, type OwnLimit, type OwnLock, type OwnLocks } from './locks.js';
import { Numbering } from './numbering.js';
import { listen, unlessHeard } from './place.js';
import { placeWithTokens } from './plain.js';
import { Sequencer } from './sequencer.js';
import { EPOCH_MAX, epochOfToken, lastOf, type Sequence } from './token.js';

/** What the store has seen: a token, or what finds out, where nobody else has the lockspace open. */
export type TokensAbove = bigint | (() => bigint | PromiseLike<bigint>);

/** A process that is, or is about to be, a member. */
export class Member {
  readonly #locks: OwnLocks;
  readonly #group: string;
  readonly #epochs: Epochs;

  /** It counts changes from now on: of none may have been told before. */
  constructor(locks: OwnLocks, group: string) {
    this.#locks = locks;
    this.#group = group;
    this.#epochs = new Epochs(() => failures.noMoreEpochs(group));
  }

  /** Another node has come, left, or died. */
  changed(): void {
    this.#epochs.changed();
  }

  /** Changes are not told any more. */
  changesEnd(): void {
    this.#epochs.fail(failures.notTold(this.#group));
  }

  /**
   * Resolves when tokens will be given. Rejects with `ERR_DLM_TOKENS`, with the limit's reason, or with why the
   * lockspace has ended; then the lockspace has to be closed.
   *
   * @param above throws what is not to be, too.
   */
  async join(above: () => Promise<bigint>, known: bigint, limit: OwnLimit): Promise<Numbering> {
    const locks = this.#locks;
    const group = this.#group;
    const door = await locks.lock(NAMES.door, 'EX', limit);
    const place = await placeWithTokens(locks, group, limit);
    const exhausted = (): DlmError => failures.noMoreSequences(group);
    const sequencer = await Sequencer.open(locks, this.#epochs, exhausted, limit);
    for (;;) {
      const hall = await locks.lock(NAMES.hall, 'EX', limit);
      const epoch = await this.#learn(hall, place, sequencer, limit);
      if (epoch === 'alone') {
        await this.#begin(above);
        await place.convert('PR');
      } else if (epoch === undefined) {
        // Members that have answered somebody before us wait there, and do not hear us.
        await hall.release();
        continue;
      } else {
        if (known > lastOf(epoch)) throw failures.belowStore(group, known, lastOf(epoch));
        this.#epochs.reach(epoch.epoch);
        this.#epochs.check();
      }
      const answer = (): Promise<void> => sequencer.tell();
      listen(locks, place, { name: NAMES.members, mode: 'PR', room: NAMES.hall, answer });
      await hall.release();
      break;
    }
    await door.release();
    return new Numbering(this.#epochs, sequencer);
  }

  /** Begins a new count, above what the store has seen. */
  async #begin(above: () => Promise<bigint>): Promise<void> {
    const seen = await above();
    const epoch = epochOfToken(seen) + 1;
    if (epoch > EPOCH_MAX) throw failures.noneAbove(this.#group, seen);
    this.#epochs.reach(epoch);
  }

  /** The epoch and the last sequence, from those who know. Undefined: what was heard was no answer to this. */
  async #learn(
    hall: OwnLock,
    place: OwnLock,
    sequencer: Sequencer,
    limit: OwnLimit,
  ): Promise<Sequence | 'alone' | undefined> {
    const { changes } = this.#epochs;
    await sequencer.ask();
    const isAlone = await unlessHeard(hall, limit, async (until) => {
      await place.convert('EX', until);
      return true;
    });
    if (isAlone !== null) return 'alone';
    const told = await sequencer.told();
    // A change since then may have been counted in it, or not.
    return this.#epochs.changes === changes ? told : undefined;
  }
}
