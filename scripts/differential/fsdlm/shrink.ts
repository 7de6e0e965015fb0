/** Makes a disagreement smaller: fewer commands, fewer flags, as long as the two sides disagree. */
import type { History } from './batch.js';
import type { CallbackRules } from './callbacks.js';
import { judge, runOnKernel, type Disagreement } from './differential.js';
import type { KernelLab } from './kernel-world.js';
import type { Command, Program, Step } from './program.js';
import { Tracker } from './tracker.js';

/** Rounds on the kernel; each takes as long as the sequence has steps. */
const ROUNDS_MAX = 30;

/** Without steps in which nothing happens. */
function tidy(program: Program): Program {
  const { death } = program;
  const steps = program.steps.filter((step) => step.length > 0);
  if (death === undefined) return { ...program, steps };
  const before = program.steps.slice(0, death.step).filter((step) => step.length > 0).length;
  return { ...program, steps, death: { ...death, step: before } };
}

/** Programs that run side by side have their deaths before the same step. */
function aligned(programs: readonly Program[]): Program[] {
  const latest = Math.max(...programs.map(({ death }) => death?.step ?? 0));
  return programs.map((program) => {
    if (program.death === undefined) return program;
    const idle: Step[] = Array.from({ length: latest - program.death.step }, () => []);
    const death = { ...program.death, step: latest };
    return { ...program, steps: [...idle, ...program.steps], death };
  });
}

/** Without some commands, and without those on locks that are then never asked for. */
function without(program: Program, dropped: ReadonlySet<Command>): Program {
  const kept = program.steps.map((step) => step.filter((command) => !dropped.has(command)));
  const asked = new Set(
    kept.flat().flatMap((command) => (command.do === 'lock' ? [command.lock] : [])),
  );
  const steps = kept.map((step) => step.filter(({ lock }) => asked.has(lock)));
  return tidy({ ...program, steps });
}

/** Smaller programs, the smallest first. */
function smaller(program: Program): Program[] {
  const commands = program.steps.flat();
  const found: Program[] = [];
  for (let size = Math.ceil(commands.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < commands.length; from += size) {
      found.push(without(program, new Set(commands.slice(from, from + size))));
    }
  }
  return found.sort((a, b) => a.steps.flat().length - b.steps.flat().length);
}

/** The same programs with one flag less. */
function plainer(program: Program): Program[] {
  return program.steps.flat().flatMap((command) => {
    const bits = Array.from({ length: 32 }, (_, bit) => 2 ** bit);
    return bits
      .filter((bit) => (command.flags & bit) !== 0)
      .map((bit) => {
        const less = { ...command, flags: command.flags & ~bit };
        const steps = program.steps.map((step) =>
          step.map((each) => (each === command ? less : each)),
        );
        return { ...program, steps };
      });
  });
}

/**
 * Whether what the generator does not do is done, which the two sides need not agree on: a race where
 * there are no two locks, or a lock on a name that was given up, by another node than its master.
 */
function isOutOfBounds(program: Program, history: History): boolean {
  const tracker = new Tracker();
  let master: number | undefined;
  let isKnown = false;
  for (const [index, step] of program.steps.entries()) {
    if (program.death?.step === index) {
      for (const [lock, events] of history.afterDeath ?? []) {
        for (const event of events) tracker.see(lock, event);
      }
      const wasUsed = tracker.locks.length > 0;
      const isDead = master === program.death.node;
      tracker.forget(program.death.node);
      if (!wasUsed || (isDead && tracker.locks.length === 0)) isKnown = false;
      else if (isDead) master = undefined;
    }
    const [first] = step;
    if (first === undefined) continue;
    if (step.length > 1 && tracker.locks.length < 2) return true;
    if (!isKnown) master = first.node;
    else if (tracker.locks.length === 0 && first.node !== master) return true;
    isKnown = true;
    for (const command of step) tracker.give(command);
    for (const [lock, events] of history.steps[index] ?? []) {
      for (const event of events) tracker.see(lock, event);
    }
  }
  return false;
}

/** The smallest that was found. */
export async function shrink(
  lab: KernelLab,
  disagreement: Disagreement,
  rules: CallbackRules,
): Promise<Disagreement> {
  let best = disagreement;
  let current = tidy(disagreement.program);
  for (let round = 0, candidates = smaller; round < ROUNDS_MAX; round++) {
    // By their number, because what is judged is a copy.
    const programs = aligned(candidates(current)).map((program, index) => ({
      ...program,
      name: String(index),
    }));
    if (programs.length === 0) break;
    const onKernel = await runOnKernel(lab, programs);
    const first = (await judge(programs, onKernel, rules)).find(({ program }) => {
      const history = onKernel.histories[Number(program.name)];
      return history !== undefined && !isOutOfBounds(program, history);
    });
    if (first !== undefined) {
      const { name } = disagreement.program;
      best = { ...first, program: { ...first.program, name } };
      current = tidy(best.program);
    } else if (candidates === smaller) {
      candidates = plainer;
    } else {
      break;
    }
  }
  return best;
}
