/** Request flags for fs/dlm: the same bits, less the one that fs/dlm does not have. */
import { constants } from 'node:os';

import { DLM_LKF } from '../../constants.js';
import { DlmError } from '../../errors.js';

// Of this module, for what is asked about every lock: see NativeLocks.
const { LOCAL, TIMEOUT } = DLM_LKF;

/**
 * The flags of `DLM_LKF_*` that go to the kernel; `LOCAL` is o2dlm's alone. Throws
 * `ERR_DLM_TIMEOUT_FLAG` for `TIMEOUT`: the kernel takes it and waits for ever. It first put what the
 * flag did behind a build option, off in Debian's 6.1, and later removed it.
 */
export function flagsToFsdlm(flags: number): number {
  if ((flags & TIMEOUT) !== 0) throw noTimeout();
  return flags & ~LOCAL;
}

function noTimeout(): DlmError {
  return new DlmError(
    'ERR_DLM_TIMEOUT_FLAG',
    'No current kernel honours DLM_LKF.TIMEOUT. Start a timer, and when it fires call dlmUnlock with DLM_LKF.CANCEL',
    { op: 'lock', errno: constants.errno.EINVAL },
  );
}
