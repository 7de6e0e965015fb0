/** What o2dlm has, and how it does what stacks do differently: fs/ocfs2/dlm. */
import { constants } from 'node:os';

import { DLM_LOCK } from '../../constants.js';
import type { StackFeatures } from '../../stackglue/features.js';

const { NL, PR, EX } = DLM_LOCK;

/** Of the emulation and of the simulator's profile `o2dlm`. */
export const O2CB_FEATURES: StackFeatures = Object.freeze({
  modes: Object.freeze([NL, PR, EX]),
  lvbLength: 64,
  nameLengthMax: 32,
  noqueueFails: 'in the call',
  conversionDeadlock: 'waits',
  newReaders: 'pass',
  protocolErrno: constants.errno.EPROTO,
  lvbAfterDeath: 'zeroed',
});
