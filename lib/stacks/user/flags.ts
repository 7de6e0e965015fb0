/** Request flags for fs/dlm: the same bits, less the one that fs/dlm does not have. */
import { DLM_LKF } from '../../constants.js';

/** The flags of `DLM_LKF_*` that go to the kernel; `LOCAL` is o2dlm's alone. */
export function flagsToFsdlm(flags: number): number {
  return flags & ~DLM_LKF.LOCAL;
}
