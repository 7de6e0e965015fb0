/** What a profile of the engine offers to `npm run differential`. */
import type { Progress } from '../vm/index.js';

export interface ProfileOptions {
  /** A Debian kernel package. */
  readonly kernel: string;
  readonly seed: number;
  readonly sequences: number;
  /** The least number of commands of each. */
  readonly commands: number;
  /** How many of a batch's disagreements are made smaller. */
  readonly shrinks: number;
  /** The number of the first sequence; 0 by default. */
  readonly first?: number;
  /** A file to which what the kernel does is added. */
  readonly recording?: string | undefined;
  /** A line for people, now and then. */
  readonly say: (line: string) => void;
  readonly progress: Progress;
}

export interface Outcome {
  /** Sequences that agreed. */
  readonly agreed: number;
  /** Commands given in all. */
  readonly commands: number;
  /** Each as text, as small as it was made; they have been said already. */
  readonly disagreements: readonly string[];
  /** Sequences of which it is not known: the search for a run that agrees has a limit (o2dlm). */
  readonly undecided: number;
  /** Without booting. */
  readonly seconds: number;
}

/**
 * The numbers of a run's sequences, those of one batch together: sequence n is always in batch n / size,
 * wherever the run begins.
 */
export function batchesOf(first: number, count: number, size: number): number[][] {
  const batches: number[][] = [];
  for (let number = first; number < first + count;) {
    const end = Math.min(first + count, (Math.floor(number / size) + 1) * size);
    batches.push(Array.from({ length: end - number }, (_, index) => number + index));
    number = end;
  }
  return batches;
}
