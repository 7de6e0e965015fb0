/** The errors of cached locks. */
import { constants } from 'node:os';

import { DlmError } from '../errors.js';
import { printName, type LockName } from '../locks/rules.js';

const { errno } = constants;

function resourceOf(name: LockName): string {
  return typeof name === 'string' ? name : printName(name);
}

/** `PR` inside is all right. */
export function nested(name: LockName): DlmError {
  return new DlmError(
    'ERR_DLM_NESTED',
    `A hold in EX cannot be inside one in PR, on ${printName(name)}: it would wait for others who hold PR, and they for this one. Take EX from the start, or release PR first`,
    { op: 'hold', resource: resourceOf(name), errno: errno.EDEADLK },
  );
}

export function releasedHold(): DlmError {
  return new DlmError('ERR_DLM_RELEASED', 'The hold has been released', {
    op: 'hold',
    resource: '',
    errno: errno.EINVAL,
  });
}

/** @param isValue whether a value was asked for. */
export function otherUse(name: LockName, isValue: boolean): DlmError {
  const [use, other] = isValue ? ['cachedValue', 'cached'] : ['cached', 'cachedValue'];
  return new DlmError(
    'ERR_DLM_CACHED',
    `${printName(name)} is in use by \`${other}()\` of this lockspace, so \`${use}()\` cannot have it: use another name for one of them`,
    { op: 'hold', resource: resourceOf(name), errno: errno.EBUSY },
  );
}

/** There are no versions without tokens. */
export function tokensNeeded(group: string, name: LockName): DlmError {
  return new DlmError(
    'ERR_DLM_NO_TOKEN',
    `A cached value needs tokens for its versions, so lockspace "${group}" has to be opened with { tokens: true }`,
    { op: 'hold', resource: resourceOf(name), errno: errno.EINVAL },
  );
}

/** Handlers have failed while the lockspace was closed: what they did not store is gone. */
export function notStored(group: string, causes: readonly unknown[]): DlmError {
  const error = new DlmError(
    'ERR_DLM_REVOKE',
    `Lockspace "${group}" was closed, and ${causes.length} of the \`onRevoke\` that it called before have failed: what they were to store may be missing`,
    { op: 'disconnect', resource: group, errno: errno.EIO },
  );
  error.cause = causes.length === 1 ? causes[0] : new AggregateError(causes);
  return error;
}

/** Some handlers were not called before the lock manager had taken the locks. */
export function lostWhileClosing(group: string): DlmError {
  return new DlmError(
    'ERR_DLM_LOST',
    `The locks of lockspace "${group}" were lost while it was closed, before all that was cached was stored`,
    { op: 'disconnect', resource: group, errno: errno.ENOTCONN },
  );
}

/** Says what nobody may have noticed. `name` undefined: of several. */
export function warnNotStored(group: string, name: LockName | undefined, error: unknown): void {
  const where = name === undefined ? 'A lock' : printName(name);
  process.emitWarning(
    `${where} in lockspace "${group}" could not be given away as it should: its \`onRevoke\` failed: ${String(error)}`,
    { type: 'StackglueWarning', code: 'STACKGLUE_REVOKE' },
  );
}
