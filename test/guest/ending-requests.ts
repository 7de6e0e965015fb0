/**
 * A program whose requests end without a grant, as many as it is told to make, some at a time. Its
 * names are held by another node, which is their master.
 *
 *   GROUP hold           takes the names       -> "holding NAMES", until its input ends
 *   GROUP KIND COUNT     makes the requests    -> "made N" now and then, and "ended COUNT", when each
 *                                                 has ended as its kind must
 */
import { once } from 'node:events';
import { constants } from 'node:os';

import { DLM_LKF, DLM_LOCK, DlmLksb, StackGlue, type LockMode } from '../../lib/glue.js';
import { createTestPlugin } from '../support/user-plugin.js';

const { EX, PR, NL } = DLM_LOCK;
const { CANCEL, CONVERT, FORCEUNLOCK, NOQUEUE, ORPHAN, VALBLK } = DLM_LKF;
const { EAGAIN, ENOENT } = constants.errno;

/** So many are under way at once, each for a name of its own. */
const NAMES = Array.from({ length: 64 }, (_, index) => `held-${index}`);

const [group = '', kind = '', count = '0'] = process.argv.slice(2);
const glue = new StackGlue();
glue.register(createTestPlugin());
glue.clusterStack = 'pcmk';

const waiting = new Map<unknown, (end: string) => void>();
function tell(lksb: unknown, end: string): void {
  const resolve = waiting.get(lksb);
  waiting.delete(lksb);
  if (resolve === undefined) throw new Error(`an event for nobody: ${end}`);
  resolve(end);
}
glue.setLockingProtocol({
  maxVersion: { major: 1, minor: 0 },
  lockAst: (lksb) => {
    tell(lksb, `lock ${glue.dlmLockStatus(lksb as DlmLksb)}`);
  },
  blockingAst: () => undefined,
  unlockAst: (lksb, error) => {
    tell(lksb, `unlock ${error}`);
  },
});
const connection = await glue.clusterConnect({
  stackName: 'pcmk',
  group,
  recoveryHandler: () => undefined,
});

/** What the calls lead to; each of them must be accepted, and they end in one event together. */
function endOf(lksb: DlmLksb, ...calls: (() => number)[]): Promise<string> {
  const end = new Promise<string>((resolve) => waiting.set(lksb, resolve));
  for (const call of calls) {
    const result = call();
    if (result !== 0) throw new Error(`a call was refused: ${result}`);
  }
  return end;
}

function lock(lksb: DlmLksb, mode: LockMode, flags: number, name: string): () => number {
  return () => glue.dlmLock(connection, mode, lksb, flags, name);
}

function unlock(lksb: DlmLksb, flags: number): () => number {
  return () => glue.dlmUnlock(connection, lksb, flags);
}

function expectEnd(end: string, expected: string): void {
  if (end !== expected) throw new Error(`${kind} ended as "${end}", not "${expected}"`);
}

/** Each makes one request that ends without a grant. */
const KINDS: Readonly<Record<string, (lksb: DlmLksb, name: string) => Promise<void>>> = {
  'new locks': async (lksb, name) => {
    expectEnd(await endOf(lksb, lock(lksb, EX, NOQUEUE | VALBLK, name)), `lock ${-EAGAIN}`);
  },
  'new shared locks': async (lksb, name) => {
    expectEnd(await endOf(lksb, lock(lksb, PR, NOQUEUE, name)), `lock ${-EAGAIN}`);
  },
  conversions: async (lksb, name) => {
    expectEnd(await endOf(lksb, lock(lksb, NL, 0, name)), 'lock 0');
    expectEnd(await endOf(lksb, lock(lksb, EX, NOQUEUE | CONVERT, name)), `lock ${-EAGAIN}`);
    expectEnd(await endOf(lksb, unlock(lksb, 0)), 'unlock 0');
  },
  adoptions: async (lksb, name) => {
    expectEnd(await endOf(lksb, lock(lksb, EX, ORPHAN, name)), `lock ${-ENOENT}`);
  },
  cancels: async (lksb, name) => {
    const end = await endOf(lksb, lock(lksb, EX, 0, name), unlock(lksb, CANCEL));
    expectEnd(end, 'unlock 0');
  },
  'unlocks by force': async (lksb, name) => {
    const end = await endOf(lksb, lock(lksb, EX, 0, name), unlock(lksb, FORCEUNLOCK));
    expectEnd(end, 'unlock 0');
  },
};

if (kind === 'hold') {
  for (const name of NAMES) {
    const lksb = new DlmLksb();
    expectEnd(await endOf(lksb, lock(lksb, EX, 0, name)), 'lock 0');
  }
  console.log(`holding ${NAMES.length}`);
} else {
  const end = KINDS[kind];
  if (end === undefined) throw new Error(`no kind "${kind}"`);
  let left = Number(count);
  await Promise.all(
    NAMES.map(async (name) => {
      const lksb = new DlmLksb();
      while (left-- > 0) {
        await end(lksb, name);
        if (left % 1000 === 0) console.log(`made ${Number(count) - left}`);
      }
    }),
  );
  console.log(`ended ${count}`);
}
// What is left of it can be looked at until then.
process.stdin.resume();
await once(process.stdin, 'end');
await glue.clusterDisconnect(connection);
