/** Why a lockspace could not be opened: `OpenFailure` of native/kernel/open_failure.h, for people. */
import { constants } from 'node:os';

import { DlmError, type DlmErrorCode } from '../../errors.js';
import { OpenFailure } from '../../native.js';
import type { ClusterNotice } from '../../stackglue/notices.js';
import { statusName } from '../../status.js';

interface Explanation {
  readonly code: DlmErrorCode;
  readonly text: (lockspace: string, errno: number) => string;
}

/** Why the keeper's program was not started, by errno. */
const KEEPER_CAUSES: Readonly<Record<number, string>> = {
  [constants.errno.ENOENT]:
    'the keeper, the program "stackglue-keeper" that opens lockspaces, is not beside the addon: who copies the one must copy the other; else install stackglue again',
  [constants.errno.EACCES]:
    'the keeper, the program "stackglue-keeper" that opens lockspaces, may not be run: it has lost its run bit ("chmod +x" gives it back), or its file system is mounted noexec',
};

const EXPLANATIONS: Readonly<Record<keyof typeof OpenFailure, Explanation>> = {
  noLibrary: {
    code: 'ERR_DLM_NO_LIBRARY',
    text: () =>
      'libdlm could not be loaded: install libdlm3 (Debian, Ubuntu) or dlm-lib (Fedora, RHEL, SUSE)',
  },
  noDlm: {
    code: 'ERR_DLM_NO_DLM',
    text: () =>
      'the kernel has no DLM: load it with "modprobe dlm" (a kernel that has the module is needed; Debian\'s cloud kernel does not) and start dlm_controld',
  },
  noDevice: {
    code: 'ERR_DLM_NO_DEVICE',
    text: () =>
      'the DLM has no device node /dev/misc/dlm-control: install the udev rule 51-dlm.rules that comes with dlm_controld',
  },
  permission: {
    code: 'ERR_DLM_PERMISSION',
    text: (lockspace) =>
      `this user may not: creating a lockspace takes CAP_SYS_ADMIN, using one takes read and write permission on /dev/misc/dlm_${lockspace} and read permission on /dev/misc/dlm-control`,
  },
  noDaemon: {
    code: 'ERR_DLM_NO_DAEMON',
    text: () =>
      'dlm_controld is not running, or not ready: start corosync and dlm_controld, and see "dlm_tool status"',
  },
  unknownLockspace: {
    code: 'ERR_DLM_UNKNOWN_LOCKSPACE',
    text: (lockspace) =>
      `there is no lockspace of this name on this node: "dlm_tool join ${lockspace}" creates it, and so does connecting with create: true`,
  },
  noMembership: {
    code: 'ERR_DLM_NO_MEMBERSHIP',
    text: () =>
      "the members of the lockspace cannot be watched, and a node's death would go unnoticed: mount configfs at /sys/kernel/config",
  },
  foreignLockspace: {
    code: 'ERR_DLM_FOREIGN_LOCKSPACE',
    text: () =>
      'the kernel has made a lockspace of this name for itself (GFS2, OCFS2), here or on another node, and its value blocks are of another size than those of user space: use another name',
  },
  failed: { code: 'ERR_DLM_CONNECT', text: () => 'the lockspace could not be opened' },
  lockspaceExists: {
    code: 'ERR_DLM_LOCKSPACE_EXISTS',
    text: () => 'it exists on this node already, and was to be created exclusively',
  },
  noKeeper: {
    code: 'ERR_DLM_NO_KEEPER',
    text: (_, error) =>
      KEEPER_CAUSES[error] ??
      'the keeper, the process that opens lockspaces, could not be started, or has died',
  },
  daemonRefused: {
    code: 'ERR_DLM_DAEMON_REFUSED',
    text: () =>
      'dlm_controld did not let this node join it; its log has the reason ("dlm_tool dump", or /var/log/dlm_controld/dlm_controld.log): often corosync has no room for it in /dev/shm',
  },
  deviceMissing: {
    code: 'ERR_DLM_NO_DEVICE',
    text: () =>
      "the lockspace was joined, but its device did not appear, so it was given up again: is udev running, with the rule 51-dlm.rules that comes with dlm_controld? In a container, mount the host's /dev/misc",
  },
  otherKeeper: {
    code: 'ERR_DLM_NO_KEEPER',
    text: () =>
      'the keeper that lies beside the addon is of another version than the addon: install stackglue again, or build both ("npx stackglue-build")',
  },
};

const BY_NUMBER: ReadonlyMap<number, Explanation> = new Map(
  Object.entries(EXPLANATIONS).map(([name, each]) => [
    OpenFailure[name as keyof typeof OpenFailure],
    each,
  ]),
);

/** What there is too little of, for failures that are nothing else's. */
const LIMITS: Readonly<Record<number, string>> = {
  [constants.errno.EMFILE]:
    'there are too many open files (raise "ulimit -n", LimitNOFILE= with systemd) or inotify instances of this user (raise the sysctl fs.inotify.max_user_instances)',
  [constants.errno.ENFILE]: 'the machine has too many open files (raise the sysctl fs.file-max)',
  [constants.errno.ENOSPC]:
    'this user watches too many files (raise the sysctl fs.inotify.max_user_watches)',
};

/** The error for a failure that the addon reported. `errno` is 0 when there is none. */
export function openError(
  lockspace: string,
  failure: number,
  errno: number,
  detail: string,
): DlmError {
  const explanation = BY_NUMBER.get(failure);
  if (explanation === undefined) throw new Error(`stackglue: no open failure ${failure}`);
  const limit = LIMITS[errno];
  const { code, text } =
    limit === undefined ? explanation : { code: 'ERR_DLM_CONNECT' as const, text: () => limit };
  const parts = [detail, errno === 0 ? '' : statusName(errno)].filter(Boolean).join(', ');
  return new DlmError(
    code,
    `Connecting to lockspace "${lockspace}" failed: ${text(lockspace, errno)}${parts === '' ? '' : ` (${parts})`}`,
    { op: 'connect', resource: lockspace, ...(errno === 0 ? {} : { errno }) },
  );
}

/** Why a lockspace was lost while it was being opened. */
const LOSSES: Readonly<Record<(ClusterNotice & { locks: 'lost' })['kind'], string>> = {
  killed: 'this node was killed',
  released: 'somebody else on this node released the lockspace, or the node was fenced',
  keeperGone: 'the process that makes our calls into the kernel has ended',
};

/** The lockspace was lost before there was a connection to it; `kind`: of the notice that tells of that. */
export function lostMeanwhile(group: string, kind: keyof typeof LOSSES): DlmError {
  return new DlmError(
    'ERR_DLM_LOST',
    `Connecting to lockspace "${group}" failed: ${LOSSES[kind]}`,
    { op: 'connect', resource: group, errno: constants.errno.ENOTCONN },
  );
}

/** The connection was closed before it was made. */
export function disconnected(group: string): DlmError {
  return new DlmError('ERR_DLM_DISCONNECTED', `The connection to "${group}" was closed`, {
    op: 'connect',
    resource: group,
    errno: constants.errno.ENOTCONN,
  });
}
