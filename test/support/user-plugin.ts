/** Stack `user` as the tests of this run are to use it. */
import {
  createUserPlugin,
  defaultGlue,
  userPlugin,
  type StackPlugin,
  type UserStackOptions,
} from '../../lib/index.js';

/** Who makes the calls into the kernel: each of them is tested. */
const SUBMITTERS = ['thread', 'keeper', 'loop'] as const;
export type Submitter = (typeof SUBMITTERS)[number];

/** A plugin whose calls are made by whom STACKGLUE_SUBMIT names; by the thread if it names nobody. */
export function createTestPlugin(options: UserStackOptions = {}): StackPlugin {
  const submit = SUBMITTERS.find((name) => name === process.env.STACKGLUE_SUBMIT) ?? 'thread';
  return createUserPlugin({ submit, ...options });
}

/** Has the process's own glue use that plugin. */
export function useTestPlugin(options: UserStackOptions = {}): void {
  defaultGlue.unregister(userPlugin);
  defaultGlue.register(createTestPlugin(options));
  defaultGlue.clusterStack = 'pcmk';
}
