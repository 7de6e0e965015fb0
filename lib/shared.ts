/** What `stackglue` and `stackglue/glue` both export: modes, flags, statuses and errors. */
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
