/**
 * What cached.ts measures on the host: takes names and gives them back, cached on stack `o2cb` or by async-mutex.
 *
 *   node --expose-gc dist/scripts/bench/cached-program.js <subject> <names>
 *
 * Says {"ready":true} when that many names are there; then reads lines "<working set> <order> <seconds>" and answers each
 * with a line of JSON: so many of the names, in an order of `orderOf`.
 */
import { openLockspace, type CachedLock } from '../../lib/index.js';
import { Random } from '../random.js';
import { asyncMutex, measure, startTurn, STRETCH, type Turn } from './cycles.js';
import { obey } from './obey.js';

/** At once, while the names are cached for the first time. */
const DEPTH = 1_000;
const SEED = 17;
/** Nothing of what is cached is to go by itself. */
const CACHE = { maxIdle: 2 ** 24, idleMs: 2 ** 31 - 1 };

/** Takes what stands in the list, again and again, for so long. */
type Work = (order: Uint32Array, seconds: number) => Promise<Turn> | Turn;

/** Takes each, gives it back, and asks nobody. */
function takeCovered(locks: readonly CachedLock[], order: Uint32Array, seconds: number): Turn {
  const turn = startTurn();
  const end = performance.now() + seconds * 1000;
  let operations = 0;
  let next = 0;
  do {
    for (let i = 0; i < STRETCH; i++) {
      const hold = locks[order[next] ?? 0]?.tryHold('EX') ?? null;
      next = next + 1 === order.length ? 0 : next + 1;
      if (hold === null) throw new Error('it is not covered');
      hold.release();
    }
    operations += STRETCH;
  } while (performance.now() < end);
  return turn(operations);
}

async function cached(names: readonly string[]): Promise<Work> {
  const lockspace = await openLockspace('bench', { stack: 'o2cb', cache: CACHE });
  const locks = names.map((name) => lockspace.cached(name));
  for (let first = 0; first < locks.length; first += DEPTH) {
    const some = locks.slice(first, first + DEPTH);
    const holds = await Promise.all(some.map((lock) => lock.hold('EX')));
    for (const hold of holds) hold.release();
  }
  // What it took to get there is not what a program has at work, and a large heap costs each collection of the young.
  globalThis.gc?.();
  // Not before: nothing else would keep the program until they are there.
  lockspace.unref();
  return (order, seconds) => takeCovered(locks, order, seconds);
}

async function mutexes(names: readonly string[]): Promise<Work> {
  const subject = await asyncMutex();
  let finish: (index: number) => void;
  const cycle = subject(names, (index) => finish(index));
  // The mutexes stay from one turn to the next.
  const again = (_: readonly string[], finished: (index: number) => void) => {
    finish = finished;
    return cycle;
  };
  return (order, seconds) => measure(again, names, 1, seconds, order);
}

const SUBJECTS = { cached, 'async-mutex': mutexes } as const;

/** Whom this program can be. */
export type SubjectName = keyof typeof SUBJECTS;

const [subject = '', count = ''] = process.argv.slice(2);
if (!Object.hasOwn(SUBJECTS, subject)) throw new Error(`unknown subject "${subject}"`);
const names = Array.from({ length: Number(count) }, (_, i) => `benchmark-resource-${i}`);
const work = await SUBJECTS[subject as SubjectName](names);

/** `together`: names that were cached one after the other; `spread`: as chance has it, in turn; `random`: not in turn either. */
function orderOf(size: number, order: string): Uint32Array {
  const all = Uint32Array.from(names, (_, i) => i);
  if (order === 'together') return all.slice(0, size);
  const chosen = new Random(SEED).shuffle([...all]).slice(0, size);
  return order === 'random' ? Uint32Array.from(chosen) : Uint32Array.from(chosen).sort();
}

const orders = new Map<string, Uint32Array>();
await obey(async ([size = '', order = '', seconds]) => {
  const key = `${size} ${order}`;
  const its = orders.get(key) ?? orderOf(Number(size), order);
  orders.set(key, its);
  return work(its, Number(seconds));
});
