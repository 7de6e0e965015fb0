/** What fs/dlm has, and how it does what stacks do differently. */
import { constants } from 'node:os';

import { DLM_LOCK } from '../../constants.js';
import type { StackFeatures } from '../../stackglue/features.js';

/** Of the kernel's, the emulated and the simulated one. */
export function userFeatures(detectDeadlocks: boolean): StackFeatures {
  return Object.freeze({
    modes: Object.freeze(Object.values(DLM_LOCK)),
    lvbLength: 32,
    nameLengthMax: 64,
    noqueueFails: 'by AST',
    conversionDeadlock: detectDeadlocks ? 'refused' : 'waits',
    newReaders: 'wait',
    protocolErrno: constants.errno.EINVAL,
    lvbAfterDeath: 'flagged',
    orphans: true,
  });
}
