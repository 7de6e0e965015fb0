/**
 * What the benchmarks' programs in JavaScript have in common: a connection of stack `user`, by the options
 * that the command line has, and lines of standard input that are answered.
 */
import {
  createUserPlugin,
  StackGlue,
  type ClusterConnection,
  type DlmLksb,
  type UserStackOptions,
} from '../../lib/glue.js';
import { obey } from './obey.js';

/** Any label but "o2cb" is a stack of user space; this is Pacemaker's. */
const STACK = 'pcmk';

/** Whoever has asked for something: what the handlers are given. */
export interface Asker {
  granted(): void;
  unlocked(): void;
}

const [lockspace = '', options = '{}'] = process.argv.slice(2);
export const glue = new StackGlue();
glue.register(createUserPlugin(JSON.parse(options) as UserStackOptions));
glue.clusterStack = STACK;
glue.setLockingProtocol({
  maxVersion: { major: 1, minor: 0 },
  lockAst: (asker) => (asker as Asker).granted(),
  blockingAst: () => undefined,
  unlockAst: (asker, error) => {
    if (error !== 0) throw new Error(`an unlock failed: ${error}`);
    (asker as Asker).unlocked();
  },
});
export const connection: ClusterConnection = await glue.clusterConnect({
  stackName: STACK,
  group: lockspace,
  recoveryHandler: () => undefined,
});

export function expectAccepted(result: number): void {
  if (result !== 0) throw new Error(`a request was refused: ${result}`);
}

export function expectGranted(lksb: DlmLksb): void {
  const status = glue.dlmLockStatus(lksb);
  if (status !== 0) throw new Error(`a lock ended with status ${status}`);
}

/** Says that the program is ready, answers each line with one of JSON, and disconnects at the end of input. */
export async function serve(execute: (words: string[]) => Promise<object> | object): Promise<void> {
  await obey(execute);
  await glue.clusterDisconnect(connection);
}
