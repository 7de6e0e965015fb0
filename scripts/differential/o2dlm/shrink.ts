/** Makes a sequence on which the two disagree shorter. */
import { runBatch, type Death } from './batch.js';
import type { Step } from './commands.js';
import { Replay, type Source } from './generator.js';
import type { KernelCluster } from './kernel.js';
import { commandsOf, judge, type Finding } from './run.js';

type Commands = Step['commands'];

/**
 * Each round runs the sequence without each of its parts, all side by side, and goes on with the shortest
 * that still disagrees.
 */
export async function shrink(kernel: KernelCluster, finding: Finding): Promise<Finding> {
  let best = finding;
  for (let round = 0; ; round++) {
    const steps = best.steps.slice(0, best.disagreement.step + 1);
    const death = deathOf(steps);
    const plans = candidates(
      steps.map(({ commands }) => commands),
      best.disagreement.file,
    );
    const sources: Source[] = plans.map((plan) => new Replay(plan));
    const histories = await runBatch(
      kernel,
      `s${best.number.toString(36)}r${round}`,
      sources,
      death,
    );
    if (death) await kernel.restart(death.node);
    const { findings } = await judge(histories.map((history) => ({ ...best, steps: history })));
    let shortest: Finding | undefined;
    for (const each of findings) {
      const length = commandsOf((shortest ?? { steps }).steps);
      if (each.outcome === 'disagrees' && commandsOf(each.steps) < length) shortest = each;
    }
    if (shortest === undefined) return { ...best, steps };
    best = shortest;
  }
}

function deathOf(steps: readonly Step[]): Death | undefined {
  const step = steps.findIndex(({ commands }) => commands.some(({ kind }) => kind === 'kill'));
  const node = steps[step]?.commands[0]?.node;
  return node === undefined ? undefined : { step, node };
}

/** The steps without a part of them, as long as before: what is left keeps its place. */
function candidates(steps: readonly Commands[], file: number): Commands[][] {
  const ofFile: Commands[] = steps.map((commands) =>
    commands.filter((command) => command.kind === 'kill' || command.file === file),
  );
  const without = (from: number, to: number): Commands[] =>
    ofFile.map((commands, at) => (at >= from && at < to ? [] : commands));
  const plans = [ofFile];
  for (let size = ofFile.length >> 1; size >= 1; size >>= 1) {
    for (let from = 0; from < ofFile.length; from += size) plans.push(without(from, from + size));
  }
  return plans;
}
