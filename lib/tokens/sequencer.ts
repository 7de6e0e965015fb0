/**
 * Gives out sequences, each larger than all before it in the lockspace. The last one is in the value block of a lock
 * that every member keeps in `NL`, so the block lives as long as its master does; what was in it before the last
 * change of the members may be old, and its epoch tells. README.md has the proof.
 *
 * Invariants:
 * 1. Only who holds the sequencer in `EX` reads or writes it, and never for longer than that takes.
 * 2. A sequence is handed out when it is written. Where a flag tells of a writer that has died: when the write has
 *    been asked for, unless there was a flag already.
 */
import type { DlmError } from '../errors.js';
import { readCell, writeCell, type Cell } from './cell.js';
import type { Epochs } from './epochs.js';
import { NAMES, type OwnLimit, type OwnLock, type OwnLocks } from './locks.js';
import { SEQUENCE_MAX, type Sequence } from './token.js';

const NONE: Sequence = Object.freeze({ epoch: 0, sequence: 0 });

/** Where a dead writer's block is zeros: a second one, so that not both are lost at once, and whose turn it is. */
interface Spare {
  readonly cell: OwnLock;
  readonly turn: OwnLock;
}

/** What a turn at the sequencer is for. */
interface Turn {
  /** The number to be written. */
  readonly next: (last: Cell, isFlagged: boolean) => Sequence;
  readonly asks: boolean;
  /** The number will be there, whatever happens to us. */
  readonly onSafe?: ((number: Sequence) => void) | undefined;
}

/** One member's. */
export class Sequencer {
  readonly #epochs: Epochs;
  readonly #cell: OwnLock;
  readonly #spare: Spare | undefined;
  readonly #exhausted: () => DlmError;
  #latest = NONE;
  /** Ends with the last turn that was asked for. */
  #turns: Promise<unknown> = Promise.resolve();
  /** What the next turn takes, for all who ask before it has come. */
  #taking: Promise<Sequence> | undefined;

  private constructor(
    epochs: Epochs,
    cell: OwnLock,
    spare: Spare | undefined,
    exhausted: () => DlmError,
  ) {
    this.#epochs = epochs;
    this.#cell = cell;
    this.#spare = spare;
    this.#exhausted = exhausted;
  }

  /** @param exhausted makes the error for a lockspace in which there is no further sequence in this epoch. */
  static async open(
    locks: OwnLocks,
    epochs: Epochs,
    exhausted: () => DlmError,
    limit: OwnLimit,
  ): Promise<Sequencer> {
    const cell = await locks.lock(NAMES.sequencer, 'NL', limit);
    const spare = locks.flagsBlocks ? undefined : await openSpare(locks, limit);
    return new Sequencer(epochs, cell, spare, exhausted);
  }

  /** The sequence that was handed out last; of epoch 0: none. */
  get latest(): Sequence {
    return this.#latest;
  }

  /**
   * A new sequence, larger than all that were handed out before this call. Rejects with why the lockspace has ended,
   * or has no tokens any more.
   */
  take(): Promise<Sequence> {
    return (this.#taking ??= this.#take());
  }

  /** Writes the epoch, for somebody who opens the lockspace. */
  async tell(): Promise<void> {
    await this.#turn({
      asks: false,
      next: (last, isFlagged) => {
        this.#epochs.reach(last.epoch);
        // That there are no more is told, too.
        const epoch = this.#epochs.counted;
        return last.epoch === epoch ? skipped(last, isFlagged) : { epoch, sequence: 0 };
      },
    });
  }

  /** Has {@link told} know whether a member has written after this. */
  async ask(): Promise<void> {
    await this.#turn({ asks: true, next: skipped });
  }

  /** The last number, if a member has written since {@link ask}. */
  told(): Promise<Sequence | undefined> {
    return this.#behind(async () => {
      const turn = this.#spare?.turn;
      await turn?.convert('EX');
      await this.#cell.convert('EX');
      const { isWritten, isAsked, epoch, sequence } = readCell(this.#cell.value);
      await this.#cell.convert('NL');
      await turn?.convert('NL');
      return isWritten && !isAsked ? { epoch, sequence } : undefined;
    });
  }

  #take(): Promise<Sequence> {
    return new Promise((resolve, reject) => {
      const turn: Turn = {
        asks: false,
        next: (last, isFlagged) => {
          // Whoever asks from now on may have been granted what another was given a larger one for.
          this.#taking = undefined;
          return this.#nextOf(last, isFlagged);
        },
        onSafe: (number) => {
          this.#latest = number;
          resolve(number);
        },
      };
      this.#turn(turn).catch((error: unknown) => {
        this.#taking = undefined;
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- handed on as it was thrown
        reject(error);
      });
    });
  }

  #nextOf(last: Cell, isFlagged: boolean): Sequence {
    this.#epochs.reach(last.epoch);
    const epoch = this.#epochs.current;
    if (last.epoch !== epoch) return { epoch, sequence: 1 };
    const sequence = skipped(last, isFlagged).sequence + 1;
    if (sequence > SEQUENCE_MAX) throw this.#exhausted();
    return { epoch, sequence };
  }

  #turn(turn: Turn): Promise<void> {
    return this.#behind(async () => {
      const spare = this.#spare;
      await spare?.turn.convert('EX');
      try {
        if (spare === undefined) await this.#write(turn);
        else await this.#writeBoth(turn, spare.cell);
      } finally {
        await spare?.turn.convert('NL');
      }
    });
  }

  async #write({ next, asks, onSafe }: Turn): Promise<void> {
    const cell = this.#cell;
    await cell.convert('EX');
    let number: Sequence;
    try {
      const isFlagged = cell.valueState === 'invalid';
      const last = readCell(cell.value);
      number = next(last, isFlagged);
      writeCell(cell.value, number, asks);
      if (!isFlagged && last.epoch === number.epoch) onSafe?.(number);
    } finally {
      await cell.convert('NL');
    }
    onSafe?.(number);
  }

  /** Never both in `EX`: who dies in between takes one of them along. */
  async #writeBoth({ next, asks, onSafe }: Turn, second: OwnLock): Promise<void> {
    const first = this.#cell;
    const last = laterOf(await readIn(first), await readIn(second));
    const number = next(last, false);
    for (const cell of [first, second]) {
      await cell.convert('EX');
      writeCell(cell.value, number, asks);
      await cell.convert('NL');
    }
    onSafe?.(number);
  }

  #behind<Result>(access: () => Promise<Result>): Promise<Result> {
    const result = this.#turns.then(access);
    this.#turns = result.catch(() => undefined);
    return result;
  }
}

async function openSpare(locks: OwnLocks, limit: OwnLimit): Promise<Spare> {
  const cell = await locks.lock(NAMES.second, 'NL', limit);
  return { cell, turn: await locks.lock(NAMES.turn, 'NL', limit) };
}

async function readIn(cell: OwnLock): Promise<Cell> {
  await cell.convert('PR');
  const read = readCell(cell.value);
  await cell.convert('NL');
  return read;
}

function laterOf(a: Cell, b: Cell): Cell {
  if (a.epoch !== b.epoch) return a.epoch > b.epoch ? a : b;
  return a.sequence >= b.sequence ? a : b;
}

/**
 * The number without what may have been handed out and not been written: who died had found no flag, so that is one
 * at most. To write takes the flag away.
 */
function skipped({ epoch, sequence }: Cell, isFlagged: boolean): Sequence {
  return { epoch, sequence: isFlagged ? Math.min(sequence + 1, SEQUENCE_MAX) : sequence };
}
