/**
 * Whether what a real cluster did is something that the emulation can do: it is run with the same commands,
 * and where the two differ, run again with another of the orders that the real system was free to take.
 * They agree if one of these runs sees at every step what was seen on the cluster.
 */
import { Choices } from './choices.js';
import { linesOf, type NodeNumber, type Step } from './commands.js';
import { Model } from './model.js';

/** As many runs before it is called a disagreement: far more than any sequence has needed. */
const MAX_RUNS = 400;

/** Where no run agreed with the cluster. */
export interface Disagreement {
  readonly step: number;
  readonly file: number;
  readonly kernel: string;
  /** What the runs that agreed up to this step saw instead, each once. */
  readonly engine: readonly string[];
}

/** What a check has found. */
export interface Verdict {
  readonly disagreement: Disagreement | undefined;
  /** How many runs it took. */
  readonly runs: number;
}

/** Checks one sequence. */
export async function check(
  nodes: readonly NodeNumber[],
  files: number,
  steps: readonly Step[],
): Promise<Verdict> {
  let best: Verdict | undefined;
  let runs = 0;
  for (const recoveryOrder of recoveryOrders(nodes, steps)) {
    const choices = new Choices();
    let furthest: { step: number; file: number; kernel: string; engine: Set<string> } | undefined;
    for (;;) {
      runs += 1;
      choices.begin();
      const model = await Model.start({ nodes, choices, recoveryOrder });
      const difference = await compare(model, files, steps);
      await model.close();
      if (difference === undefined) return { disagreement: undefined, runs };
      const { step, file, kernel, engine } = difference;
      if (furthest === undefined || step > furthest.step) {
        furthest = { step, file, kernel, engine: new Set() };
      }
      if (step === furthest.step) furthest.engine.add(engine);
      if (runs >= MAX_RUNS || !choices.advance(file, step)) break;
    }
    if (best === undefined || furthest.step > (best.disagreement?.step ?? -1)) {
      best = { disagreement: { ...furthest, engine: [...furthest.engine] }, runs };
    }
  }
  return { disagreement: best?.disagreement, runs };
}

/** In which orders the nodes may become the recovery's master: it matters only when one dies. */
function recoveryOrders(nodes: readonly NodeNumber[], steps: readonly Step[]): NodeNumber[][] {
  const dies = steps.some(({ commands }) => commands.some(({ kind }) => kind === 'kill'));
  return dies ? [[...nodes], [...nodes].reverse()] : [[...nodes]];
}

async function compare(
  model: Model,
  files: number,
  steps: readonly Step[],
): Promise<{ step: number; file: number; kernel: string; engine: string } | undefined> {
  for (const [step, { commands, seen }] of steps.entries()) {
    const observed = await model.step(step, commands);
    for (let file = 0; file < files; file++) {
      const kernel = linesOf(seen, file);
      const engine = linesOf(observed, file);
      if (kernel !== engine) return { step, file, kernel, engine };
    }
  }
  return undefined;
}
