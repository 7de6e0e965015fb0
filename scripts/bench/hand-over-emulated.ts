/**
 * Two nodes of the emulated stack `user` in this process that want the same name all the time: by cached locks, or by the
 * glue's calls, which convert to NL on the blocking AST and back to EX.
 *
 *   node dist/scripts/bench/hand-over-emulated.js <cached | glue>
 *
 * Says {"ready":true}, and answers each line, a number of seconds, with a line of JSON. Holds of both nodes count.
 */
import {
  createEmulatedUserPlugin,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  StackGlue,
  type LockMode,
} from '../../lib/glue.js';
import { openLockspace } from '../../lib/index.js';
import { startTurn, STRETCH, type Turn } from './cycles.js';
import { obey } from './obey.js';

const NODES = [1, 2];
const CLUSTER = 'hand-over';
const NAME = 'benchmark-resource';

/** The turn that is under way. */
let holds = 0;
let limit = 0;
let over: (() => void) | undefined;

/** One of them has it. */
function count(): void {
  holds += 1;
  if (holds % STRETCH !== 0 || performance.now() < limit) return;
  over?.();
  over = undefined;
}

async function cache(node: number): Promise<void> {
  const lockspace = await openLockspace('bench', { stack: 'emulated', node, cluster: CLUSTER });
  const cached = lockspace.cached(NAME, { minHoldMs: 0, onRevoke: () => void hold() });
  const hold = async (): Promise<void> => {
    const held = await cached.hold('EX');
    count();
    held.release();
  };
  void hold();
}

async function convert(node: number): Promise<void> {
  const glue = new StackGlue();
  glue.register(createEmulatedUserPlugin({ node, cluster: CLUSTER }));
  glue.clusterStack = 'pcmk';
  const lksb = new DlmLksb();
  let mode: LockMode = DLM_LOCK.NL;
  const ask = (wanted: LockMode, flags: number): void => {
    mode = wanted;
    const status = glue.dlmLock(connection, wanted, lksb, flags, NAME, lksb);
    if (status !== 0) throw new Error(`lock: ${status}`);
  };
  glue.setLockingProtocol({
    maxVersion: { major: 1, minor: 0 },
    lockAst() {
      if (mode === DLM_LOCK.EX) count();
      else ask(DLM_LOCK.EX, DLM_LKF.CONVERT);
    },
    blockingAst() {
      ask(DLM_LOCK.NL, DLM_LKF.CONVERT);
    },
    unlockAst() {
      // It is kept.
    },
  });
  const connection = await glue.clusterConnect({
    stackName: 'pcmk',
    group: 'bench',
    recoveryHandler() {
      // Nobody dies.
    },
  });
  ask(DLM_LOCK.NL, 0);
}

const start = process.argv[2] === 'glue' ? convert : cache;
for (const node of NODES) await start(node);
await obey(async ([seconds]): Promise<Turn> => {
  const turn = startTurn();
  holds = 0;
  limit = performance.now() + Number(seconds) * 1000;
  await new Promise<void>((resolve) => (over = resolve));
  return turn(holds);
});
process.exit();
