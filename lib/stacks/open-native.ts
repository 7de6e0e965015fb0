/** What a native connection comes to when there is no memory for it. */
import { constants } from 'node:os';

import { DlmError } from '../errors.js';

/** `error` itself, or what it is to who connects to `group` when native code has found no memory. */
export function connectError(group: string, error: unknown): unknown {
  // `ThrowOutOfMemory` of native/binding/arguments.h.
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOMEM')) return error;
  return new DlmError('ERR_DLM_CONNECT', `There is no memory for a connection to "${group}"`, {
    op: 'connect',
    resource: group,
    errno: constants.errno.ENOMEM,
  });
}

/** What `open` makes for `group`; throws `ERR_DLM_CONNECT` with `ENOMEM` when there is no memory for it. */
export function openNative<T>(group: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    throw connectError(group, error);
  }
}
