/**
 * What the kernels did in a run, in a file: it can be checked against the emulation as often as one likes,
 * without virtual machines. One line of JSON for each sequence.
 */
import { appendFile, readFile } from 'node:fs/promises';

import type { Command, HandleState, NodeNumber, Step } from './commands.js';

/** A sequence that has been run on the kernels. */
export interface Recorded {
  /** The release of the kernel that did it. */
  readonly kernel: string;
  readonly nodes: readonly NodeNumber[];
  /** The run's seed, and the sequence's number in it. */
  readonly seed: number;
  readonly number: number;
  readonly files: number;
  readonly steps: readonly Step[];
}

interface Line extends Omit<Recorded, 'steps'> {
  readonly steps: readonly {
    readonly commands: readonly Command[];
    readonly handles: readonly (readonly [number, HandleState])[];
    readonly unlinks: readonly (readonly [string, number])[];
  }[];
}

/** Adds sequences to a recording. */
export async function record(path: string, sequences: readonly Recorded[]): Promise<void> {
  await appendFile(path, sequences.map((each) => `${JSON.stringify(toLine(each))}\n`).join(''));
}

/** The sequences of a recording. */
export async function readRecording(path: string): Promise<Recorded[]> {
  const text = await readFile(path, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => fromLine(JSON.parse(line) as Line));
}

function toLine({ steps, ...rest }: Recorded): Line {
  return {
    ...rest,
    steps: steps.map(({ commands, seen }) => ({
      commands,
      // A state that waits has no result, which JSON leaves out.
      handles: [...seen.handles],
      unlinks: [...seen.unlinks],
    })),
  };
}

function fromLine({ steps, ...rest }: Line): Recorded {
  return {
    ...rest,
    steps: steps.map(({ commands, handles, unlinks }) => ({
      commands,
      seen: {
        handles: new Map(
          handles.map(([handle, state]) => [handle, { ...state, result: state.result }]),
        ),
        unlinks: new Map(unlinks),
      },
    })),
  };
}
