/**
 * Whether what a real cluster did is something that the emulation can do: some run of it with the same
 * commands, in one of the orders that the real system was free to take, sees at every step what was seen
 * on the cluster. Files have nothing to do with each other, so each is looked at by itself.
 */
import { linesOf, type NodeNumber, type Step } from './commands.js';
import { Search, type FileStep } from './search.js';

/** As many runs of the emulation for one file before it is left undecided. */
export const MAX_RUNS = 5000;

/** Where no run goes on as the cluster did. */
export interface Disagreement {
  readonly step: number;
  readonly file: number;
  readonly kernel: string;
  /** What the runs that agreed up to this step saw instead, each once. */
  readonly engine: readonly string[];
}

/** What a check has found. */
export interface Verdict {
  /** `undecided`: no run agreed, and there were more than it was allowed to try. */
  readonly outcome: 'agrees' | 'disagrees' | 'undecided';
  /** Unless they agree: how far the runs came that came furthest. */
  readonly disagreement?: Disagreement | undefined;
  /** How many runs it took. */
  readonly runs: number;
}

/** Checks one sequence; `maxRuns` is for each of its files. */
export async function check(
  nodes: readonly NodeNumber[],
  files: number,
  steps: readonly Step[],
  maxRuns = MAX_RUNS,
): Promise<Verdict> {
  let runs = 0;
  let worst: Verdict = { outcome: 'agrees', runs };
  for (const recoveryOrder of recoveryOrders(nodes, steps)) {
    worst = { outcome: 'agrees', runs };
    for (let file = 0; file < files && worst.outcome !== 'disagrees'; file++) {
      const mine = stepsOf(file, steps);
      const search = new Search({ nodes, recoveryOrder, file, steps: mine, maxRuns });
      const outcome = await search.run();
      runs += search.runs;
      if (outcome === 'agrees') continue;
      const { step, kernel, engine } = search.furthest;
      worst = { outcome, disagreement: { step, file, kernel, engine: [...engine] }, runs };
    }
    if (worst.outcome === 'agrees') break;
  }
  return { ...worst, runs };
}

/** In which orders the nodes may become the recovery's master: it matters only when one dies. */
function recoveryOrders(nodes: readonly NodeNumber[], steps: readonly Step[]): NodeNumber[][] {
  const dies = steps.some(({ commands }) => commands.some(({ kind }) => kind === 'kill'));
  return dies ? [[...nodes], [...nodes].reverse()] : [[...nodes]];
}

/** One file's part of the steps, without those in which nothing became of it. */
function stepsOf(file: number, steps: readonly Step[]): FileStep[] {
  const found: FileStep[] = [];
  for (const [number, step] of steps.entries()) {
    const commands = step.commands.filter(
      (command) => command.kind === 'kill' || command.file === file,
    );
    const seen = linesOf(step.seen, file);
    if (commands.length > 0 || seen !== (found.at(-1)?.seen ?? '')) {
      found.push({ commands, seen, number });
    }
  }
  return found;
}
