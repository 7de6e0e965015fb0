/**
 * What a name takes in JavaScript's memory, on stack `o2cb`: a lock by the glue's calls, and a cached one beside it.
 *
 *   node --expose-gc dist/scripts/bench/cached-memory.js <names>
 *
 * Says one line of JSON, in bytes for each name. The engine's own part is the same for both, and not in it.
 */
import { DLM_LOCK, DlmLksb, StackGlue, createO2cbPlugin } from '../../lib/glue.js';
import { openLockspace, type CachedLock } from '../../lib/index.js';

/** What is told of it. `handles`: of `cached`, what goes when nobody keeps the `CachedLock`. */
export interface NameMemory {
  readonly glue: number;
  readonly cached: number;
  readonly handles: number;
}

/** At once. */
const DEPTH = 1_000;
const count = Number(process.argv[2]);

/** V8's heap, and what it has outside: tables of numbers. */
function inUse(): number {
  if (globalThis.gc === undefined) throw new Error('start this program with --expose-gc');
  for (let i = 0; i < 3; i++) globalThis.gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Of the program itself; what has just been freed is seen by V8 in its next turn. */
async function measured(work: () => Promise<void>): Promise<number> {
  const before = inUse();
  await work();
  await new Promise((resolve) => setImmediate(resolve));
  return (inUse() - before) / count;
}

async function inParts(work: (first: number, end: number) => Promise<unknown>): Promise<void> {
  for (let first = 0; first < count; first += DEPTH) {
    await work(first, Math.min(count, first + DEPTH));
  }
}

let left = 0;
let allGranted: () => void;
const stack = new StackGlue();
stack.register(createO2cbPlugin());
stack.setLockingProtocol({
  maxVersion: { major: 1, minor: 0 },
  lockAst() {
    left -= 1;
    if (left === 0) allGranted();
  },
  blockingAst() {
    // Nobody else wants it.
  },
  unlockAst() {
    // All are kept.
  },
});
const connection = await stack.clusterConnect({
  stackName: 'o2cb',
  group: 'memory',
  recoveryHandler() {
    // Nobody dies.
  },
});

const blocks: DlmLksb[] = [];
const glue = await measured(() =>
  inParts((first, end) => {
    left = end - first;
    const granted = new Promise<void>((resolve) => (allGranted = resolve));
    for (let i = first; i < end; i++) {
      const lksb = new DlmLksb();
      blocks.push(lksb);
      const status = stack.dlmLock(connection, DLM_LOCK.EX, lksb, 0, `inode/${i}`, lksb);
      if (status !== 0) throw new Error(`lock: ${status}`);
    }
    return granted;
  }),
);

const lockspace = await openLockspace('cached', { stack: 'o2cb', cache: { maxIdle: count } });
const locks: (CachedLock | undefined)[] = [];
const cached = await measured(() =>
  inParts(async (first, end) => {
    const some: CachedLock[] = [];
    for (let i = first; i < end; i++) some.push(lockspace.cached(`inode/${i}`));
    const holds = await Promise.all(some.map((lock) => lock.hold('EX')));
    for (const hold of holds) hold.release();
    locks.push(...some);
  }),
);
const handles = -(await measured(() => {
  locks.fill(undefined);
  return Promise.resolve();
}));

const answer: NameMemory = { glue, cached, handles };
console.log(JSON.stringify({ ...answer, kept: [blocks.length, locks.length] }));
process.exit();
