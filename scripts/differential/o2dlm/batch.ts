/** A batch: sequences side by side on the cluster, one step of each of them at a time. */
import type { Command, NodeNumber, Observation, Step } from './commands.js';
import type { Source } from './generator.js';
import type { KernelCluster } from './kernel.js';

/** When, in steps, which node is killed, for all sequences of the batch. */
export interface Death {
  readonly step: number;
  readonly node: NodeNumber;
}

const NOTHING: Observation = { handles: new Map(), unlinks: new Map() };

/** Runs a batch to its end; resolves to what each sequence did and saw. A dead node stays dead. */
export async function runBatch(
  kernel: KernelCluster,
  prefix: string,
  sources: readonly Source[],
  death?: Death,
): Promise<Step[][]> {
  const histories = sources.map((): Step[] => []);
  const seen = sources.map(() => NOTHING);
  const record = (commands: Map<number, readonly Command[]>, found: Map<number, Observation>) => {
    for (const [sequence, observation] of found) {
      seen[sequence] = observation;
      histories[sequence]?.push({ commands: commands.get(sequence) ?? [], seen: observation });
    }
  };
  kernel.startBatch(prefix);
  const running = new Set(sources.keys());
  for (let step = 0; running.size > 0 || (death && step <= death.step); step++) {
    if (step === death?.step) {
      const { node } = death;
      const found = await kernel.kill(node, sources.keys());
      record(new Map([...sources.keys()].map((each) => [each, [{ kind: 'kill', node }]])), found);
      for (const source of sources) source.lose(node);
    }
    const commands = new Map<number, readonly Command[]>();
    for (const [sequence, source] of sources.entries()) {
      if (!running.has(sequence)) continue;
      const next = source.next(seen[sequence] ?? NOTHING);
      if (next === undefined) running.delete(sequence);
      else if (next.length > 0) commands.set(sequence, next);
    }
    if (commands.size > 0) record(commands, await kernel.step(commands));
  }
  return histories;
}
