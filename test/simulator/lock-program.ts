/**
 * A program for simulated nodes that runs in whatever thread: it takes a lock, holds it for a while of
 * its own choice, and gives it up, over and over.
 */
import {
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  StackGlue,
  type ClusterConnection,
  type ClusterNotice,
  type ProtocolVersion,
} from '../../lib/glue.js';
import type { NodeContext } from '../../lib/simulator/index.js';

const { EX } = DLM_LOCK;

/** A glue of its own for a life of a node, and its connection. */
export async function connectNode(
  node: NodeContext,
  handlers: {
    blockingAst?: () => void;
    nodeDown?: (node: number) => void;
    notice?: (notice: ClusterNotice) => void;
  } = {},
  maxVersion: ProtocolVersion = { major: 1, minor: 0 },
  group = 'test',
): Promise<{ glue: StackGlue; connection: ClusterConnection }> {
  const glue = new StackGlue();
  glue.register(node.plugin);
  glue.setLockingProtocol({
    maxVersion,
    // Async ones reject to whoever called.
    lockAst: (astarg): unknown => (astarg as () => unknown)(),
    unlockAst: (astarg, error): unknown => (astarg as (error: number) => unknown)(error),
    blockingAst: () => handlers.blockingAst?.(),
  });
  const stackName = node.plugin.name === 'o2cb' ? 'o2cb' : 'pcmk';
  glue.clusterStack = stackName;
  const connection = await glue.clusterConnect({
    stackName,
    group,
    recoveryHandler: (dead) => handlers.nodeDown?.(dead),
    noticeHandler: (notice) => handlers.notice?.(notice),
  });
  return { glue, connection };
}

/** Takes EX and resolves once it is granted; rejects with the refusal. */
export async function take(
  glue: StackGlue,
  connection: ClusterConnection,
  lksb: DlmLksb,
  name: string,
  flags = 0,
): Promise<void> {
  await request(glue, lksb, (done) => glue.dlmLock(connection, EX, lksb, flags, name, done));
}

/** Gives it up and resolves when that is done. */
export async function give(
  glue: StackGlue,
  connection: ClusterConnection,
  lksb: DlmLksb,
  flags = 0,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const done = (): void => {
      resolve();
    };
    const result = glue.dlmUnlock(connection, lksb, flags, done);
    if (result !== 0) reject(new Error(`refused: ${result}`));
  });
}

async function request(
  glue: StackGlue,
  lksb: DlmLksb,
  ask: (done: () => void) => number,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const result = ask(resolve);
    if (result !== 0) reject(new Error(`refused: ${result}`));
  });
  const status = glue.dlmLockStatus(lksb);
  if (status !== 0) throw new Error(`not granted: ${status}`);
}

/** The program; `work` resolves to how often it has had the lock. */
export async function lockProgram(node: NodeContext) {
  const { glue, connection } = await connectNode(node, {
    blockingAst: () => node.note('is in the way'),
    nodeDown: (dead) => node.note(`knows that n${dead} died`),
  });
  return {
    async work(turns: number): Promise<number> {
      for (let i = 0; i < turns; i += 1) {
        const lksb = new DlmLksb();
        await take(glue, connection, lksb, 'lock', DLM_LKF.VALBLK);
        const block = glue.dlmLvb(lksb);
        block[0] = (block[0] ?? 0) + 1;
        await node.sleep(5 * node.random());
        await give(glue, connection, lksb, DLM_LKF.VALBLK);
      }
      return turns;
    },
    fail(message: string): never {
      throw new Error(message);
    },
    async leave(): Promise<void> {
      await glue.clusterDisconnect(connection);
    },
  };
}
