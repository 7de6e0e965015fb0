/**
 * What embedded.ts measures of JavaScript: takes names and gives them back, on stack `o2cb` through the
 * glue or by what people use inside one process.
 *
 *   node dist/scripts/bench/embedded-program.js <subject>
 *
 * Reads lines "<work> <depth> <seconds>" and answers each with a line of JSON. It also runs on other
 * lines of Node.js than the addon was built for, so the glue is only loaded by those who need it.
 */
import { createInterface } from 'node:readline';

import { asyncMutex, measure, promised, type Subject } from './cycles.js';

/** How many names there are, and how many wait for one name where they have the same. */
export const NAMES = 10_000;
export const WAITERS = 100;

interface LockManager {
  request(name: string, work: () => void): Promise<unknown>;
}

/** `fresh`: with a new lock status block each time, rather than one that is used again. */
async function glue(fresh: boolean): Promise<Subject> {
  const { StackGlue, createO2cbPlugin, DlmLksb, DLM_LOCK } = await import('../../lib/glue.js');
  interface Cell {
    readonly index: number;
    readonly name: string;
    lksb: InstanceType<typeof DlmLksb>;
  }
  const stack = new StackGlue();
  stack.register(createO2cbPlugin());
  let finish: (index: number) => void;
  const check = (what: string, status: number): void => {
    if (status !== 0) throw new Error(`${what}: ${status}`);
  };
  stack.setLockingProtocol({
    maxVersion: { major: 1, minor: 0 },
    lockAst(cell) {
      const { lksb } = cell as Cell;
      check('lock AST', stack.dlmLockStatus(lksb));
      check('unlock', stack.dlmUnlock(connection, lksb, 0));
    },
    blockingAst() {
      // The lock is given back anyway.
    },
    unlockAst(cell, error) {
      check('unlock AST', error);
      finish((cell as Cell).index);
    },
  });
  const connection = await stack.clusterConnect({
    stackName: 'o2cb',
    group: 'bench',
    recoveryHandler() {
      // Nobody dies.
    },
  });
  connection.unref();
  return (names, finished) => {
    finish = finished;
    const cells = names.map((name, index): Cell => ({ index, name, lksb: new DlmLksb() }));
    return (index) => {
      const cell = cells[index];
      if (cell === undefined) throw new Error(`no name ${index}`);
      if (fresh) cell.lksb = new DlmLksb();
      check('lock', stack.dlmLock(connection, DLM_LOCK.EX, cell.lksb, 0, cell.name, cell));
    };
  };
}

/** `stackglue` itself: locks with promises. */
async function lockspace() {
  const { openLockspace } = await import('../../lib/index.js');
  return (await openLockspace('bench', { stack: 'o2cb' })).unref();
}

/** The same with values or tokens, by the rules of fs/dlm. `isKept`: the names stay in use. */
async function withBlocks(options: { tokens: boolean; isKept: boolean }): Promise<Subject> {
  const { openLockspace } = await import('../../lib/index.js');
  const { tokens, isKept } = options;
  const ls = (await openLockspace('bench', { stack: 'emulated', tokens })).unref();
  return promised((names) => {
    const pins = Promise.all(isKept ? names.map((name) => ls.pin(name)) : []);
    let areThere = false;
    void pins.then(() => (areThere = true));
    return async (index, work) => {
      if (!areThere) await pins;
      const lock = await ls.lock(names[index] ?? '', 'EX', { value: true });
      work();
      await lock.release();
    };
  });
}

const SUBJECTS = {
  promises: async () => {
    const ls = await lockspace();
    return promised((names) => async (index, work) => {
      const lock = await ls.lock(names[index] ?? '', 'EX');
      work();
      await lock.release();
    });
  },
  using: async () => {
    const ls = await lockspace();
    return promised((names) => (index, work) => ls.using(names[index] ?? '', 'EX', work));
  },
  values: () => withBlocks({ tokens: false, isKept: true }),
  tokens: () => withBlocks({ tokens: true, isKept: true }),
  'values-new': () => withBlocks({ tokens: false, isKept: false }),
  'tokens-new': () => withBlocks({ tokens: true, isKept: false }),
  glue: () => glue(false),
  'glue-fresh': () => glue(true),
  'async-lock': async () => {
    const { default: AsyncLock } = await import('async-lock');
    return promised((names) => {
      const locks = new AsyncLock();
      return (index, work) => locks.acquire(names[index] ?? '', work);
    });
  },
  'async-mutex': asyncMutex,
  'navigator.locks': async () => {
    const { locks } = (globalThis as unknown as { navigator: { locks: LockManager } }).navigator;
    return Promise.resolve(
      promised((names) => (index, work) => locks.request(names[index] ?? '', work)),
    );
  },
} satisfies Record<string, () => Promise<Subject>>;

/** Whom this program can be. */
export type SubjectName = keyof typeof SUBJECTS;

async function main(name: string): Promise<void> {
  if (!Object.hasOwn(SUBJECTS, name)) throw new Error(`unknown subject "${name}"`);
  const subject = await SUBJECTS[name as SubjectName]();
  const names = {
    lock: Array.from({ length: NAMES }, (_, i) => `benchmark-resource-${i}`),
    contended: Array.from({ length: WAITERS }, () => 'benchmark-resource'),
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const [work = '', depth, seconds] = line.split(' ');
    const its = names[work as keyof typeof names];
    console.log(JSON.stringify(await measure(subject, its, Number(depth), Number(seconds))));
  }
}

await main(process.argv[2] ?? '');
