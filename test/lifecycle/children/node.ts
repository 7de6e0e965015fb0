/** One simulated node for the children of these tests, with handlers that can be waited for. */
import {
  createEmulatedUserPlugin,
  createO2cbPlugin,
  DLM_LOCK,
  DlmLksb,
  StackGlue,
  type ClusterConnection,
} from '../../../lib/glue.js';

/** A connection of one node, and its locks. */
export interface Node {
  readonly glue: StackGlue;
  readonly connection: ClusterConnection;
  /** Asks for EX; the promises settle when the handlers are called. */
  ask(name: string): { lksb: DlmLksb; granted: Promise<void>; blocking: Promise<void> };
  /** Asks for the unlock; settles with its unlock AST. */
  unlock(lksb: DlmLksb): Promise<void>;
  disconnect(): Promise<void>;
}

/** The emulations, by the names of their stacks. */
const EMULATIONS = { o2cb: createO2cbPlugin, pcmk: createEmulatedUserPlugin };
export type StackName = keyof typeof EMULATIONS;

/** A glue on which that node can connect. `on` runs inside each handler. */
export function createGlue(
  number: number,
  cluster: string,
  on: (event: string, astarg: unknown) => void = () => undefined,
  stackName: StackName = 'o2cb',
): StackGlue {
  const glue = new StackGlue();
  glue.register(EMULATIONS[stackName]({ node: number, cluster }));
  glue.clusterStack = stackName;
  glue.setLockingProtocol({
    maxVersion: { major: 1, minor: 0 },
    lockAst: (astarg) => on('granted', astarg),
    blockingAst: (astarg) => on('blocking', astarg),
    unlockAst: (astarg) => on('unlocked', astarg),
  });
  return glue;
}

/** Connects node `number` to the domain "domain" of that cluster. */
export async function createNode(
  number: number,
  cluster: string,
  onEvent: (event: string) => void = () => undefined,
  stackName: StackName = 'o2cb',
): Promise<Node> {
  const waiting = new Map<unknown, Map<string, () => void>>();
  const hear = (event: string, lksb: unknown): void => {
    onEvent(event);
    waiting.get(lksb)?.get(event)?.();
  };
  const glue = createGlue(number, cluster, hear, stackName);
  const connection = await glue.clusterConnect({
    stackName,
    group: 'domain',
    recoveryHandler: () => undefined,
  });
  const when = (lksb: DlmLksb, event: string) =>
    new Promise<void>((resolve) => {
      const events = waiting.get(lksb) ?? new Map<string, () => void>();
      waiting.set(lksb, events.set(event, resolve));
    });
  return {
    glue,
    connection,
    ask: (name) => {
      const lksb = new DlmLksb();
      const [granted, blocking] = [when(lksb, 'granted'), when(lksb, 'blocking')];
      check(glue.dlmLock(connection, DLM_LOCK.EX, lksb, 0, name));
      return { lksb, granted, blocking };
    },
    unlock: async (lksb) => {
      const unlocked = when(lksb, 'unlocked');
      check(glue.dlmUnlock(connection, lksb, 0));
      await unlocked;
      waiting.delete(lksb);
    },
    disconnect: () => glue.clusterDisconnect(connection),
  };
}

function check(result: number): void {
  if (result !== 0) throw new Error(`the request was refused: ${result}`);
}
