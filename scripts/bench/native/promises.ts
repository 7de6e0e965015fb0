/** What locks with promises take, against the glue's calls that they are made of. */
import { availableParallelism } from 'node:os';

import { step } from '../../vm/index.js';
import { Contestant } from '../contestant.js';
import { thisMachine } from '../host.js';
import { makeRow, type Target } from '../result.js';
import { takeTurns } from '../turns.js';
import type { Depth } from './calibration.js';
import { countAll, measure, MORE_ROUNDS, ratesOf, start } from './entrant.js';
import type { NativeOptions } from './native.js';
import { LOCKSPACE, type NativePlace } from './world.js';

/** Both sides make the calls on the event loop: no thread's waiting hides what a promise takes. */
const SUBMIT = 'loop';

const TARGETS: readonly (readonly [Depth, Target])[] = [
  [1, { atLeast: 0.8, by: 'cpu' }],
  [64, { atLeast: 0.85, by: 'cpu' }],
];

/** One row: both sides on so many processors, with so many locks under way. */
export interface PromisesBenchmark {
  readonly name: string;
  readonly processors: number;
  readonly depth: Depth;
  readonly target: Target;
}

/** Those that were chosen, as far as this host has the processors. */
export function choosePromises({
  only,
  modes,
  vcpus,
}: Pick<NativeOptions, 'only' | 'modes' | 'vcpus'>): PromisesBenchmark[] {
  if (!modes.includes(SUBMIT)) return [];
  return vcpus
    .filter((processors) => processors <= availableParallelism())
    .flatMap((processors) =>
      TARGETS.map(([depth, target]) => ({
        name: `native, promises and the glue, ${processors} CPU, depth ${depth}, ${SUBMIT}`,
        processors,
        depth,
        target,
      })),
    )
    .filter(({ name }) => only.test(name));
}

/** Measures both sides in turns. */
export async function runPromises(
  { name, processors, depth, target }: PromisesBenchmark,
  place: NativePlace,
  options: NativeOptions,
): Promise<void> {
  const both = [
    await start(place, (at) => Contestant.promises(at, LOCKSPACE, SUBMIT)),
    await start(place, (at) => Contestant.javascript(at, LOCKSPACE, SUBMIT)),
  ];
  const [ours = [], theirs = []] = await step(options.progress, name, () =>
    takeTurns(
      both.map((each) => () => measure(each, 'lock', depth, options.seconds)),
      options.rounds * MORE_ROUNDS,
    ),
  );
  const [itsCalls, reference] = await step(options.progress, `${name}, system calls`, () =>
    countAll(both, 'lock', depth, options.tell),
  );
  for (const { contestant } of both) await contestant.end();
  options.report(
    makeRow({
      name,
      unit: '1/s',
      ...ratesOf(ours, theirs),
      calls: itsCalls && reference && { ours: itsCalls, reference },
      target,
      machine: thisMachine(processors),
    }),
  );
}
