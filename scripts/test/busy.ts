/** Keeps the processors busy, to see how tests fare on a host that has other things to do. */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

/** Every processor has something to do from now on. Returns how to end that. */
export function keepBusy(): () => Promise<void> {
  const workers = Array.from(
    { length: availableParallelism() },
    () => new Worker('for (;;);', { eval: true }),
  );
  return async () => {
    await Promise.all(workers.map((worker) => worker.terminate()));
  };
}
