/** The errors of this layer. */
import { constants } from 'node:os';

import { DlmError } from '../errors.js';
import { MODE_NAMES } from './modes.js';
import { printName, type LockName } from './rules.js';
import type { LockMode } from '../constants.js';

const { errno } = constants;

/** What a failure is about. */
export interface About {
  readonly op: 'lock' | 'hold' | 'adopt' | 'convert' | 'release';
  readonly name: LockName;
  readonly group: string;
  readonly mode: LockMode;
}

function where({ name, group }: About): string {
  return `${printName(name)} in lockspace "${group}"`;
}

function resourceOf({ name }: About): string {
  return typeof name === 'string' ? name : printName(name);
}

/** @param holders who is in the way, where that can be known; for people. */
export function timedOut(about: About, timeoutMs: number, holders: string): DlmError {
  const mode = MODE_NAMES[about.mode] ?? '';
  return new DlmError(
    'ERR_DLM_TIMEOUT',
    `Waited ${Number(timeoutMs.toFixed(1))} ms for ${mode} on ${where(about)}, and it was not granted${holders}`,
    { op: about.op, resource: resourceOf(about), errno: errno.ETIMEDOUT },
  );
}

export function deadlock(about: About, held: LockMode): DlmError {
  return new DlmError(
    'ERR_DLM_DEADLOCK',
    `Converting ${where(about)} to ${MODE_NAMES[about.mode] ?? ''} would wait for ever: another holder converts too, and each is in the other's way. This one keeps ${MODE_NAMES[held] ?? ''}; release it, so that the other is granted, and lock again`,
    { op: about.op, resource: resourceOf(about), errno: errno.EDEADLK },
  );
}

/** The same failure for one call, with the lockspace's own as its cause. */
export function ended(about: About, end: DlmError): DlmError {
  const { op } = about;
  return endedBy(end, `The ${op} of ${where(about)} ended`, op, resourceOf(about));
}

/** The same for a purge. */
export function purgeEnded(group: string, end: DlmError): DlmError {
  return endedBy(end, `The purge in lockspace "${group}" ended`, 'purge', group);
}

function endedBy(end: DlmError, what: string, op: string, resource: string): DlmError {
  const why = end.code === 'ERR_DLM_CLOSED' ? 'the lockspace was closed' : 'the locks are lost';
  const { code, errno: number } = end;
  const error = new DlmError(code, `${what}: ${why}. ${end.message}`, {
    op,
    resource,
    ...(number !== undefined && { errno: number }),
  });
  error.cause = end;
  return error;
}

export function released(about: About): DlmError {
  return new DlmError(
    'ERR_DLM_RELEASED',
    `The lock on ${where(about)} has been released, so there is nothing to ${about.op}`,
    { op: about.op, resource: resourceOf(about), errno: errno.EINVAL },
  );
}

export function busy(about: About): DlmError {
  return new DlmError(
    'ERR_DLM_BUSY',
    `Another conversion of ${where(about)} is under way: wait for it, or abort it`,
    { op: about.op, resource: resourceOf(about), errno: errno.EBUSY },
  );
}

export function readOnly(about: About): DlmError {
  return new DlmError(
    'ERR_DLM_READ_ONLY',
    `The value of ${where(about)} cannot be written in mode ${MODE_NAMES[about.mode] ?? ''}: that takes PW or EX`,
    { op: about.op, resource: resourceOf(about), errno: errno.EPERM },
  );
}

export function detached(about: About): DlmError {
  return new DlmError(
    'ERR_DLM_LVB_DETACHED',
    `The value of ${where(about)} has been transferred (its buffer is detached), so there is nothing to write: hand over a copy`,
    { op: about.op, resource: resourceOf(about), errno: errno.EINVAL },
  );
}

export function noValue(about: About): DlmError {
  return new DlmError(
    'ERR_DLM_NO_VALUE',
    `The lock on ${where(about)} was taken without its value: give { value: true }`,
    { op: about.op, resource: resourceOf(about), errno: errno.EINVAL },
  );
}

export function noToken(about: About): DlmError {
  return new DlmError(
    'ERR_DLM_NO_TOKEN',
    `The lock on ${where(about)} has no fencing token: that takes a lockspace that was opened with { tokens: true }, and PW or EX`,
    { op: about.op, resource: resourceOf(about), errno: errno.EINVAL },
  );
}

export function noOrphansBesideTokens(op: 'lock' | 'adopt', group: string): DlmError {
  return new DlmError(
    'ERR_DLM_NO_ORPHANS',
    `Lockspace "${group}" has tokens, and a lock that outlives its process would carry one that nobody knows: so there is none that is persistent, or could be adopted`,
    { op, resource: group, errno: errno.EOPNOTSUPP },
  );
}

export function noOrphans(op: 'lock' | 'adopt' | 'purge', group: string): DlmError {
  return new DlmError(
    'ERR_DLM_NO_ORPHANS',
    `The stack of lockspace "${group}" keeps no lock of a process that has ended, so there is nothing that could be persistent, adopted or purged: that takes "user" or "emulated"`,
    { op, resource: group, errno: errno.EOPNOTSUPP },
  );
}

export function orphanMode(about: About): DlmError {
  return new DlmError(
    'ERR_DLM_ORPHAN_MODE',
    `A lock on ${where(about)} was left by a process of this node that has ended, but not in ${MODE_NAMES[about.mode] ?? ''}: adopt it in the mode that it was held in, or purge it`,
    { op: about.op, resource: resourceOf(about), errno: errno.EAGAIN },
  );
}

export function unlimited(about: About, held: LockMode): DlmError {
  const [from, to] = [MODE_NAMES[held] ?? '', MODE_NAMES[about.mode] ?? ''];
  return new DlmError(
    'ERR_DLM_NO_LIMIT',
    `Converting ${where(about)} from ${from} to ${to} can deadlock with another holder that wants the same, which this stack does not find out: give "signal" or "timeoutMs"`,
    { op: about.op, resource: resourceOf(about), errno: errno.EDEADLK },
  );
}

export function refused(about: About, status: number): DlmError {
  return DlmError.fromStatus(status, { op: about.op, resource: resourceOf(about) });
}

export function closedError(group: string): DlmError {
  return new DlmError('ERR_DLM_CLOSED', `Lockspace "${group}" is closed`, {
    op: 'close',
    resource: group,
    errno: errno.ENOTCONN,
  });
}

export function lostError(group: string, why: string): DlmError {
  return new DlmError('ERR_DLM_LOST', `The locks in lockspace "${group}" are lost: ${why}`, {
    op: 'lost',
    resource: group,
    errno: errno.ENOTCONN,
  });
}
