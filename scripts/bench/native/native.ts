/**
 * The benchmarks of stack `user` at the processor's own speed: the programs that run in the guests, on
 * this host, with a double of the device. README.md says what that can tell and what it cannot.
 */
import { availableParallelism } from 'node:os';

import { step, type Progress } from '../../vm/index.js';
import { buildReference, Contestant, WORK_NAMES, type Mode, type Work } from '../contestant.js';
import { thisMachine } from '../host.js';
import { makeRow, type Row } from '../result.js';
import { takeTurns } from '../turns.js';
import { calibrate, type Depth } from './calibration.js';
import { countAll, measure, MORE_ROUNDS, ratesOf, start, type Entrant } from './entrant.js';
import { choosePromises, runPromises } from './promises.js';
import { LOCKSPACE, NativeWorld, type NativePlace } from './world.js';

export interface NativeOptions {
  /** Rows whose names do not match are left out. */
  readonly only: RegExp;
  /** As for the other benchmarks; here turns are more and shorter. */
  readonly rounds: number;
  readonly seconds: number;
  readonly modes: readonly Mode[];
  /** Numbers of processors that the programs may use; those that the host does not have are left out. */
  readonly vcpus: readonly number[];
  readonly progress: Progress;
  /** Is given each row as soon as it has been measured. */
  readonly report: (row: Row | NativeRow) => void;
  /** Is told what cannot be done here, and why. */
  readonly tell: (what: string) => void;
}

/** Who is compared with C: C that asks within the callback, or JavaScript. */
export type Who = 'C in the callback' | Mode;

/** A row that compares programs; there are rows of the double, too. */
export interface NativeRow extends Row {
  readonly who: Who;
  readonly work: Work;
  readonly depth: number;
  readonly processors: number;
}

/** Whether a row is one of these. */
export const isNativeRow = (row: Row): row is NativeRow => 'who' in row;

/** Beside any figure of this. */
export const LIMITS = `The device double takes as long as fs/dlm 6.1 on one processor: what locks between processors and
mitigations cost a kernel is not in it. It grants at once: no contention, no blocking ASTs, no other nodes.`;

interface Workload {
  readonly work: Work;
  readonly depth: Depth;
}

const WORKLOADS: readonly Workload[] = [
  { work: 'lock', depth: 1 },
  { work: 'convert', depth: 1 },
  { work: 'lock', depth: 64 },
  { work: 'convert', depth: 64 },
  { work: 'lock', depth: 200 },
];

/** What is measured by programs that start together. */
interface Group {
  readonly processors: number;
  readonly depth: Depth;
  readonly works: readonly Work[];
}

const rowName = (work: Work, { processors, depth }: Group, who: Who): string =>
  `native, ${WORK_NAMES[work]}, ${processors} CPU, depth ${depth}, ${who}`;

/** The groups that were chosen, as far as this host has the processors. */
function chooseGroups({ only, modes, vcpus }: Choice): Group[] {
  const whos: readonly Who[] = ['C in the callback', ...modes];
  const groups = vcpus.flatMap((processors) =>
    ([1, 64, 200] as const).map((depth): Group => ({
      processors,
      depth,
      works: WORKLOADS.filter((each) => each.depth === depth).map(({ work }) => work),
    })),
  );
  return groups
    .filter(({ processors }) => processors <= availableParallelism())
    .map((group) => ({
      ...group,
      works: group.works.filter((work) => whos.some((who) => only.test(rowName(work, group, who)))),
    }))
    .filter(({ works }) => works.length > 0);
}

type Choice = Pick<NativeOptions, 'only' | 'modes' | 'vcpus'>;

/** Whether anything here was chosen. */
export const isNativeChosen = (options: Choice): boolean =>
  chooseGroups(options).length > 0 || choosePromises(options).length > 0;

/** Runs what was chosen. */
export async function runNative(options: NativeOptions): Promise<void> {
  const groups = chooseGroups(options);
  const promises = choosePromises(options);
  const depths = new Set([...groups, ...promises].map(({ depth }) => depth));
  if (depths.size === 0) return;
  buildReference();
  const world = new NativeWorld();
  try {
    for (const depth of depths) {
      const calibration = await step(
        options.progress,
        `native, device double, depth ${depth}`,
        () => calibrate(world, depth),
      );
      calibration.rows.forEach(options.report);
      for (const group of groups.filter((each) => each.depth === depth)) {
        await runGroup(group, world.place(group.processors, calibration.work), options);
      }
      for (const each of promises.filter((one) => one.depth === depth)) {
        await runPromises(each, world.place(each.processors, calibration.work), options);
      }
    }
  } finally {
    world.close();
  }
}

async function runGroup(group: Group, place: NativePlace, options: NativeOptions): Promise<void> {
  const { processors, depth } = group;
  const c = await start(place, (at) => Contestant.c(at, LOCKSPACE));
  const others = new Map<Who, Entrant>();
  others.set(
    'C in the callback',
    await start(place, (at) => Contestant.c(at, LOCKSPACE, 'callback')),
  );
  for (const mode of options.modes) {
    others.set(mode, await start(place, (at) => Contestant.javascript(at, LOCKSPACE, mode)));
  }
  const entrants = [c, ...others.values()];

  for (const work of group.works) {
    const name = `native, ${WORK_NAMES[work]}, ${processors} CPU, depth ${depth}`;
    const measures = entrants.map((each) => () => measure(each, work, depth, options.seconds));
    const [references = [], ...turns] = await step(options.progress, name, () =>
      takeTurns(measures, options.rounds * MORE_ROUNDS),
    );
    const [reference, ...calls] = await step(options.progress, `${name}, system calls`, () =>
      countAll(entrants, work, depth, options.tell),
    );
    for (const [index, who] of [...others.keys()].entries()) {
      if (!options.only.test(rowName(work, group, who))) continue;
      const ours = calls[index];
      const row = makeRow({
        name: rowName(work, group, who),
        unit: '1/s',
        ...ratesOf(turns[index] ?? [], references),
        calls: ours && reference && { ours, reference },
        target: undefined,
        machine: thisMachine(processors),
      });
      options.report({ ...row, who, work, depth, processors } satisfies NativeRow);
    }
  }
  for (const { contestant } of entrants) await contestant.end();
}
