/**
 * `stackglue/glue`: cluster-wide locks on the Linux kernel's distributed lock manager, through the
 * calls of `fs/ocfs2/stackglue.h`. The functions here act on the process's own glue, in which both stacks are
 * registered: `o2cb`, emulated in this process, and `user`, the real DLM.
 */
import { DlmError } from './errors.js';
import { StackGlue } from './stackglue/glue.js';
import type { StackPlugin } from './stackglue/plugin.js';
import { createO2cbPlugin } from './stacks/o2cb/index.js';
import { createEmulatedUserPlugin, createUserPlugin } from './stacks/user/index.js';

export * from './shared.js';
export { useNativeBinding } from './native.js';
export {
  ClusterConnection,
  stackConnectionOf,
  type ConnectionState,
  type RecoveryHandler,
  type StackConnection,
  type StackUpcalls,
} from './stackglue/connection.js';
export { StackGlue, type AgnosticConnectOptions, type ConnectOptions } from './stackglue/glue.js';
export { DlmLksb, type DlmLksbOptions } from './stackglue/lksb.js';
export type { StackFeatures } from './stackglue/features.js';
export type {
  ClusterMember,
  ClusterMembership,
  ClusterNotice,
  NoticeHandler,
} from './stackglue/notices.js';
export type { PluginLoader } from './stackglue/registry.js';
export {
  realClock,
  type PlockRequest,
  type StackClock,
  type StackOperations,
  type StackPlugin,
  type StackScope,
} from './stackglue/plugin.js';
export type { LockingProtocol, ProtocolVersion } from './stackglue/protocol.js';
export { createO2cbPlugin, killO2cbNode, type O2cbOptions } from './stacks/o2cb/index.js';
export {
  createEmulatedUserPlugin,
  createUserPlugin,
  dlmDeadlockCancel,
  dlmOwnPid,
  dlmPurge,
  dlmVersions,
  killEmulatedUserNode,
  type DlmVersions,
  type EmulatedUserOptions,
  type UserStackOptions,
} from './stacks/user/index.js';

/** The process's own glue: the kernel's singleton. */
export const defaultGlue = new StackGlue();
/**
 * The plugins that it has from the start, to be unregistered by a program that wants other options:
 * `defaultGlue.unregister(userPlugin); defaultGlue.register(createUserPlugin({ submit: 'keeper' }))`.
 *
 * With `STACKGLUE_USER=emulated` in the environment, `userPlugin` is `createEmulatedUserPlugin()`, and a
 * process warning says so: a program for the cluster then runs unchanged on a machine without one.
 */
export const o2cbPlugin = createO2cbPlugin();
export const userPlugin = createDefaultUserPlugin();
defaultGlue.register(o2cbPlugin);
defaultGlue.register(userPlugin);

export const setLockingProtocol = defaultGlue.setLockingProtocol.bind(defaultGlue);
export const setMaxProtoVersion = defaultGlue.setMaxProtoVersion.bind(defaultGlue);
export const clusterConnect = defaultGlue.clusterConnect.bind(defaultGlue);
export const clusterConnectAgnostic = defaultGlue.clusterConnectAgnostic.bind(defaultGlue);
export const clusterDisconnect = defaultGlue.clusterDisconnect.bind(defaultGlue);
export const clusterHangup = defaultGlue.clusterHangup.bind(defaultGlue);
export const clusterMembers = defaultGlue.clusterMembers.bind(defaultGlue);
export const clusterMembership = defaultGlue.clusterMembership.bind(defaultGlue);
export const clusterThisNode = defaultGlue.clusterThisNode.bind(defaultGlue);
export const dlmLock = defaultGlue.dlmLock.bind(defaultGlue);
export const dlmUnlock = defaultGlue.dlmUnlock.bind(defaultGlue);
export const dlmLockStatus = defaultGlue.dlmLockStatus.bind(defaultGlue);
export const dlmLockMode = defaultGlue.dlmLockMode.bind(defaultGlue);
export const dlmLockFlags = defaultGlue.dlmLockFlags.bind(defaultGlue);
export const dlmLvbValid = defaultGlue.dlmLvbValid.bind(defaultGlue);
export const dlmLvb = defaultGlue.dlmLvb.bind(defaultGlue);
export const dlmDumpLksb = defaultGlue.dlmDumpLksb.bind(defaultGlue);
export const plock = defaultGlue.plock.bind(defaultGlue);

/** The environment decides, and nothing else: a cluster is never replaced silently. */
function createDefaultUserPlugin(): StackPlugin {
  const choice = process.env.STACKGLUE_USER ?? '';
  if (choice === '') return createUserPlugin();
  if (choice !== 'emulated') {
    throw new DlmError(
      'ERR_DLM_ENVIRONMENT',
      `The environment variable STACKGLUE_USER must be "emulated" or not set; it is "${choice}"`,
      { op: 'load' },
    );
  }
  process.emitWarning(
    'STACKGLUE_USER=emulated: the locks of stack "user" are emulated, and end at this process.',
    { code: 'STACKGLUE_EMULATED' },
  );
  return createEmulatedUserPlugin();
}
