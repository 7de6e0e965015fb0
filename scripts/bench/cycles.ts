/** Names that are taken and given back, again and again, so many at a time: what benchmarks of one process measure. */

/** What is told of a turn. `cpuSeconds`: of all threads of the process. */
export interface Turn {
  readonly operations: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** Operations between two looks at the clock. */
export const STRETCH = 2_000;

/**
 * Takes the name of this index and gives it back at once, then calls `finished` with it. It is not asked
 * for an index again before that.
 */
export type Cycle = (index: number) => void;
export type Subject = (names: readonly string[], finished: (index: number) => void) => Cycle;

/** By promises: `acquire` calls `work` while it has the name, and resolves when it has no more. */
export function promised(
  prepare: (names: readonly string[]) => (index: number, work: () => void) => Promise<unknown>,
): Subject {
  return (names, finished) => {
    const acquire = prepare(names);
    const work = (): void => {
      // Nothing: the lock is what is measured.
    };
    return (index) => {
      void acquire(index, work).then(() => finished(index));
    };
  };
}

/** async-mutex, with one mutex for each name. */
export async function asyncMutex(): Promise<Subject> {
  const { Mutex } = await import('async-mutex');
  return promised((names) => {
    const byName = new Map(names.map((name) => [name, new Mutex()]));
    const mutexes = names.map((name) => byName.get(name) ?? new Mutex());
    return (index, work) => (mutexes[index] ?? new Mutex()).runExclusive(work);
  });
}

/** A clock for a turn. */
export function startTurn(): (operations: number) => Turn {
  const cpu = process.cpuUsage();
  const started = performance.now();
  return (operations) => {
    const { user, system } = process.cpuUsage(cpu);
    const seconds = (performance.now() - started) / 1000;
    return { operations, seconds, cpuSeconds: (user + system) / 1e6 };
  };
}

/**
 * `depth` cycles at a time until the time is over; the last ones are waited for.
 *
 * @param order the indices of the names, as they are taken; all in turn if it is left out.
 */
export function measure(
  subject: Subject,
  names: readonly string[],
  depth: number,
  seconds: number,
  order: Uint32Array = Uint32Array.from(names, (_, index) => index),
): Promise<Turn> {
  return new Promise((resolve) => {
    let underWay = 0;
    let operations = 0;
    let next = 0;
    let isOver = false;
    const take = (): void => {
      underWay++;
      const index = order[next] ?? 0;
      next = next + 1 === order.length ? 0 : next + 1;
      cycle(index);
    };
    const cycle = subject(names, () => {
      underWay--;
      if (++operations % STRETCH === 0 && performance.now() - started >= seconds * 1000)
        isOver = true;
      if (!isOver) take();
      else if (underWay === 0) resolve(turn(operations));
    });
    const turn = startTurn();
    const started = performance.now();
    for (let i = 0; i < depth; i++) take();
  });
}
