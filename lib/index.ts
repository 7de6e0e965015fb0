/**
 * `stackglue`: what all of its parts share: modes, flags, statuses and errors. The locks are at
 * `stackglue/glue`. Needs no native code.
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
export { DlmError, type DlmErrorCode, type DlmErrorDetails } from './errors.js';
export { statusName as dlmStatusName } from './status.js';
