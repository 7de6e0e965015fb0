/**
 * fs/dlm's statuses: errno values already, 0 or negative; `user_dlm_lock_status` of
 * fs/ocfs2/stack_user.c hands them on as they are. Two of them end an unlock or a cancel.
 */
import { DLM_ERRNO } from '../../constants.js';

/** `DLM_SBF_VALNOTVALID`: the value block was lost. */
const SBF_VALNOTVALID = 0x02;

/** Whether a lock with these status flags has a valid value block. */
export function isBlockValid(flags: number): boolean {
  return (flags & SBF_VALNOTVALID) === 0;
}

/** Whether a completion with this status is told by the unlock AST. */
export function endsInUnlockAst(status: number): boolean {
  return status === -DLM_ERRNO.EUNLOCK || isCancel(status);
}

/** Whether that unlock AST is a cancel's. */
export function isCancel(status: number): boolean {
  return status === -DLM_ERRNO.ECANCEL;
}
