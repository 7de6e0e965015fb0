/** Who is measured in the native benchmark, by the clock and by processor time. */
import type { Contestant, Place, Work } from '../contestant.js';
import type { Calls, makeRow } from '../result.js';
import { HAS_PROCESSOR_TIMES, processorSeconds } from './processes.js';
import { CannotCount, countCalls } from './system-calls.js';
import type { NativePlace, NativeProgram } from './world.js';

/** What resources' names begin with. */
export const PREFIX = 'native-';

/** Threads that wake each other suffer from whatever else the host does: more turns, and shorter ones. */
export const MORE_ROUNDS = 3;
const SHORTER = 15;

/** Somebody who is measured, and the processes that this takes. */
export interface Entrant {
  readonly contestant: Contestant;
  readonly pids: readonly number[];
}

/** Operations per second, and per second of processor time. */
export interface Rates {
  readonly rate: number;
  readonly cpuRate: number;
}

/** Starts a program and finds its processes. */
export async function start(
  place: NativePlace,
  enter: (place: Place) => Promise<Contestant>,
): Promise<Entrant> {
  const programs: NativeProgram[] = [];
  const contestant = await enter({
    spawn(command) {
      const program = place.spawn(command);
      programs.push(program);
      return program;
    },
  });
  return { contestant, pids: programs.flatMap((program) => program.findProcesses()) };
}

/** One turn; `seconds` as the benchmarks in virtual machines have them. */
export async function measure(
  { contestant, pids }: Entrant,
  work: Work,
  depth: number,
  seconds: number,
): Promise<Rates> {
  const before = processorSeconds(pids);
  const turn = await contestant.turn(work, PREFIX, depth, seconds / SHORTER);
  const used = processorSeconds(pids) - before;
  return { rate: turn.operations / turn.seconds, cpuRate: turn.operations / used };
}

/** The system calls of each; none where they cannot be counted. */
export async function countAll(
  entrants: readonly Entrant[],
  work: Work,
  depth: number,
  tell: (what: string) => void,
): Promise<Calls[]> {
  const all: Calls[] = [];
  try {
    for (const { contestant, pids } of entrants) {
      all.push(await countCalls(contestant, pids, work, PREFIX, depth));
    }
  } catch (error) {
    if (!(error instanceof CannotCount)) throw error;
    tell(error.message);
    return [];
  }
  return all;
}

/** Turns as what a row is made of. */
export function ratesOf(ours: readonly Rates[], theirs: readonly Rates[]): RowRates {
  const rates = { rates: ours.map(({ rate }) => rate), references: theirs.map(({ rate }) => rate) };
  if (!HAS_PROCESSOR_TIMES) return rates;
  return {
    ...rates,
    cpuRates: ours.map(({ cpuRate }) => cpuRate),
    cpuReferences: theirs.map(({ cpuRate }) => cpuRate),
  };
}

type RowRates = Pick<
  Parameters<typeof makeRow>[0],
  'rates' | 'references' | 'cpuRates' | 'cpuReferences'
>;
