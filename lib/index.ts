/**
 * `stackglue`: locks with promises, which is what most programs want, and what all parts share: modes, flags,
 * statuses and errors. The kernel's own calls are at `stackglue/glue`.
 */
export {
  CLUSTER_NAME_MAX,
  DLM_ERRNO,
  DLM_LKF,
  DLM_LOCK,
  DLM_SBF,
  GROUP_NAME_MAX,
  STACK_LABEL_LEN,
  type LockMode,
} from './constants.js';
export { DlmError, type DlmErrorCode, type DlmErrorDetails, type DlmErrorKind } from './errors.js';
export { statusName as dlmStatusName } from './status.js';
export {
  openLockspace,
  type BlockedHandler,
  type Health,
  type HealthReason,
  type HealthState,
  type Lock,
  type LockName,
  type LockSet,
  type Lockspace,
  type LockspaceEvents,
  type LockspaceOptions,
  type LockWork,
  type Mode,
  type StackChoice,
  type WaitOptions,
} from './locks/index.js';
