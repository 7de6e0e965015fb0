/** Stack `user` as the tests of this run are to use it. */
import {
  createEmulatedUserPlugin,
  createUserPlugin,
  defaultGlue,
  userPlugin,
  type StackPlugin,
  type UserStackOptions,
} from '../../lib/glue.js';

/** Who makes the calls into the kernel: each of them is tested. */
const SUBMITTERS = ['thread', 'keeper', 'loop'] as const;
export type Submitter = (typeof SUBMITTERS)[number];

/** To leave a lockspace may take long on a slow host, which is no failure of a test. */
const DISCONNECT_TIMEOUT_MS = 600_000;

/** The emulated cluster that STACKGLUE_TEST_EMULATED names; undefined: the kernel's DLM is tested. */
export function emulatedCluster(): string | undefined {
  return process.env.STACKGLUE_TEST_EMULATED;
}

/**
 * A plugin whose calls are made by whom STACKGLUE_SUBMIT names; by the thread if it names nobody. Of the
 * options, the emulation has those that are about who shares a lockspace, and about deadlocks.
 */
export function createTestPlugin(options: UserStackOptions = {}): StackPlugin {
  const cluster = emulatedCluster();
  const { create = true, exclusive = false, detectDeadlocks = false } = options;
  if (cluster !== undefined) {
    return createEmulatedUserPlugin({ cluster, create, exclusive, detectDeadlocks });
  }
  const submit = SUBMITTERS.find((name) => name === process.env.STACKGLUE_SUBMIT) ?? 'thread';
  return createUserPlugin({ submit, disconnectTimeoutMs: DISCONNECT_TIMEOUT_MS, ...options });
}

/** Has the process's own glue use that plugin. */
export function useTestPlugin(options: UserStackOptions = {}): void {
  defaultGlue.unregister(userPlugin);
  defaultGlue.register(createTestPlugin(options));
  defaultGlue.clusterStack = 'pcmk';
}
