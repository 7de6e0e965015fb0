/**
 * Stack `user`: libdlm and the kernel's DLM. Its locks hold across the cluster.
 */
import { resolve } from 'node:path';

import {
  checkBoolean,
  checkInteger,
  checkOptions,
  checkString,
  checkText,
  outOfRange,
} from '../../errors.js';
import { bunError } from '../../load-failure.js';
import { native as addon, Submission } from '../../native.js';
import type { StackPlugin } from '../../stackglue/plugin.js';
import type { LockspaceSource } from './link.js';
import { userFeatures } from './features.js';
import { createOperations } from './operations.js';

export {
  createEmulatedUserPlugin,
  killEmulatedUserNode,
  type EmulatedUserOptions,
} from './emulation.js';
export { dlmDeadlockCancel, dlmOwnPid, dlmPurge, dlmVersions, type DlmVersions } from './calls.js';

/** How lockspaces are opened and used. */
export interface UserStackOptions {
  /**
   * Path of libdlm, a relative one from the current folder; or its bare name. By default libdlm_lt.so.3 or
   * libdlm.so.3, where the loader finds them.
   */
  readonly library?: string;
  /**
   * Create the lockspace, or take a share in it if it exists, where this process may (that takes
   * CAP_SYS_ADMIN). True by default; with false, or without the right, it is opened only. The kernel
   * removes a lockspace from a node when the last process that created it there disconnects, unless
   * there are still locks of this node in it: those of a process that only opened it, or orphans. Locks of
   * other nodes that this one is the master of keep it, too, where debugfs cannot be read
   * (/sys/kernel/debug/dlm), in a PID namespace, or while another process here has it open.
   */
  readonly create?: boolean;
  /** Mode of the device of a lockspace that is created, not of one that exists; 0o600 by default. */
  readonly mode?: number;
  /**
   * Fail with `ERR_DLM_LOCKSPACE_EXISTS` when the lockspace exists on this node (`DLM_LSFL_NEWEXCL`).
   * False by default.
   */
  readonly exclusive?: boolean;
  /**
   * Who makes the calls into the kernel, which wait there while the lockspace recovers or has no quorum,
   * and cannot be interrupted, not even by SIGKILL:
   *
   * - `thread` (the default): a thread of the lockspace. The event loop never waits; the end of the
   *   process does if a call is waiting then.
   * - `keeper`: the keeper, a process beside this one. Nothing of this process ever waits, its end
   *   included. Costs a little more for each request (see scripts/bench).
   * - `loop`: the event loop's own thread. Fastest for one request at a time. When the lockspace stops
   *   in the middle of a call the whole process stands still until it resumes, timers, servers and
   *   health checks included; while it is known to be stopped, no call is made.
   */
  readonly submit?: 'thread' | 'keeper' | 'loop';
  /**
   * How long connecting may take, in milliseconds, before it fails with `ERR_DLM_TIMEOUT`. By default
   * (0) it waits for the cluster, which may have no quorum for however long.
   */
  readonly connectTimeoutMs?: number;
  /**
   * How long disconnecting may take, in milliseconds; 10,000 by default. After that it rejects with
   * `ERR_DLM_TIMEOUT`: the connection is gone, and its locks go when the lockspace works again.
   */
  readonly disconnectTimeoutMs?: number;
  /**
   * Have a conversion refused that can never be granted, because it waits for a lock that converts, too, and
   * waits for it: it ends with -EDEADLK, and the lock keeps what it held. Of two holders of PR that both want
   * EX that is the second one. False by default, as in the kernel's own stack, which adds
   * `DLM_LKF.NODLCKWT` to every request: then both wait until one of them gives way.
   */
  readonly detectDeadlocks?: boolean;
}

const OPTIONS: Readonly<Record<keyof UserStackOptions, true>> = {
  library: true,
  create: true,
  mode: true,
  exclusive: true,
  submit: true,
  connectTimeoutMs: true,
  disconnectTimeoutMs: true,
  detectDeadlocks: true,
};

/** `DLM_LSFL_NEWEXCL` of include/uapi/linux/dlm.h. */
const LSFL_NEWEXCL = 0x8;

const DISCONNECT_TIMEOUT_MS = 10_000;

/** The longest that a timer can run, in milliseconds. */
const TIMEOUT_MAX_MS = 2 ** 31 - 1;

/** A plugin for every cluster stack of user space: any label but `o2cb`. */
export function createUserPlugin(options: UserStackOptions = {}): StackPlugin {
  checkOptions<UserStackOptions>('options', options, OPTIONS);
  const { library = '', mode = 0o600, submit = 'thread' } = options;
  const { create = true, exclusive = false } = options;
  const { connectTimeoutMs = 0, disconnectTimeoutMs = DISCONNECT_TIMEOUT_MS } = options;
  const { detectDeadlocks = false } = options;
  checkText('options.library', library);
  checkBoolean('options.create', create);
  checkBoolean('options.exclusive', exclusive);
  checkBoolean('options.detectDeadlocks', detectDeadlocks);
  checkInteger('options.mode', mode, 0, 0o777);
  checkString('options.submit', submit);
  if (!Object.hasOwn(Submission, submit)) {
    throw outOfRange('options.submit', 'thread, keeper or loop', submit);
  }
  checkInteger('options.connectTimeoutMs', connectTimeoutMs, 0, TIMEOUT_MAX_MS);
  checkInteger('options.disconnectTimeoutMs', disconnectTimeoutMs, 0, TIMEOUT_MAX_MS);
  const native = {
    // The keeper has another current folder. What has no slash is the loader's to find.
    library: library.includes('/') ? resolve(library) : library,
    create,
    mode,
    flags: exclusive ? LSFL_NEWEXCL : 0,
    submission: Submission[submit],
  };
  const source: LockspaceSource = {
    open: (name, ...channel) => {
      if (process.versions.bun !== undefined) throw bunError();
      return new (addon().NativeUserConnection)({ ...native, name }, ...channel);
    },
    needsKeeper: submit === 'keeper',
    // What this node masters is granted in the call, and this thread makes the calls.
    answersAtOnce: submit === 'loop',
  };
  return Object.freeze({
    name: 'user',
    scope: 'cluster' as const,
    features: userFeatures(detectDeadlocks),
    operations: createOperations(source, {
      connectTimeoutMs,
      disconnectTimeoutMs,
      detectDeadlocks,
    }),
  });
}
