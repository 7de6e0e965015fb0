/**
 * Stack `user`: libdlm and the kernel's DLM. Its locks hold across the cluster.
 */
import { checkInteger, checkObject, checkString, invalidType } from '../../errors.js';
import type { StackPlugin } from '../../stackglue/plugin.js';
import { createOperations } from './operations.js';

/** How lockspaces are opened. */
export interface UserStackOptions {
  /** Path of libdlm; by default libdlm_lt.so.3 or libdlm.so.3 where the loader finds them. */
  readonly library?: string;
  /**
   * Create the lockspace, or take a share in it if it exists, where this process may (that takes
   * CAP_SYS_ADMIN). True by default; with false, or without the right, it is opened only. The kernel
   * removes a lockspace from a node when the last process that created it there disconnects, and that
   * disconnect waits for those that only opened it.
   */
  readonly create?: boolean;
  /** Mode of the lockspace's device when it is created; 0o600 by default. */
  readonly mode?: number;
}

/** A plugin for every cluster stack of user space: any label but `o2cb`. */
export function createUserPlugin(options: UserStackOptions = {}): StackPlugin {
  checkObject('options', options);
  const { library = '', create = true, mode = 0o600 } = options;
  checkString('options.library', library);
  if (typeof create !== 'boolean') throw invalidType('options.create', 'of type boolean', create);
  checkInteger('options.mode', mode, 0, 0o777);
  return Object.freeze({
    name: 'user',
    scope: 'cluster' as const,
    operations: createOperations({ library, create, mode }),
  });
}
