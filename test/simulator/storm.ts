/**
 * Nodes that lock while others fail: run as a program, it prints the history of the seed that it is
 * given.
 */
import { fileURLToPath } from 'node:url';
import { MessageChannel, Worker } from 'node:worker_threads';

import { Simulation, type NodeOptions, type Profile } from '../../lib/simulator/index.js';
import { lockProgram } from './lock-program.js';

/** A worker with a node, and the port for `simulation.node()`. */
export function startLockWorker(): { worker: Worker; port: NodeOptions['port'] & object } {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL('./lock-worker.js', import.meta.url), {
    workerData: { port: port2 },
    transferList: [port2],
  });
  return { worker, port: port1 };
}

/** What happens in a simulation of three nodes, one of which may live in a worker thread. */
export async function storm(simulation: Simulation, inWorker: readonly number[] = []) {
  const nodes = [1, 2, 3].map((number) =>
    simulation.node(
      number,
      inWorker.includes(number) ? { port: startLockWorker().port } : { program: lockProgram },
    ),
  );
  simulation.chaos({ withinMs: 100, lengthMs: [10, 3000] });
  await Promise.allSettled(nodes.map((node) => node.call('work', 10)));
  await simulation.sleep(3000);
}

/** The history of a storm. */
export async function stormHistory(
  seed: number,
  profile: Profile,
  inWorker: readonly number[] = [],
): Promise<string> {
  const simulation = new Simulation({ seed, profile });
  try {
    await simulation.run(() => storm(simulation, inWorker));
    return simulation.history.toString();
  } finally {
    await simulation.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , seed, profile] = process.argv;
  process.stdout.write(await stormHistory(Number(seed), profile as Profile));
}
