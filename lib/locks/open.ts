/** Opens lockspaces. */
import { constants } from 'node:os';

import { throwIfAborted, unlessAborted } from '../abort-signal.js';
import { checkText, DlmError } from '../errors.js';
import { realClock } from '../glue.js';
import type { TokensAbove } from '../tokens/member.js';
import { Limit } from './limit.js';
import { join, Lockspace } from './lockspace.js';
import { checkLockspaceOptions, checkToken, type LockspaceOptions } from './options.js';
import { createStack } from './stack.js';
import { Wiring } from './wiring.js';

const FIRST_VERSION = Object.freeze({ major: 1, minor: 0 });

/**
 * Opens a lockspace, the group of all programs that open one of this name on the same stack, and creates it where
 * there is none. Resolves when locks will be served and the deaths of nodes be told.
 *
 * Rejects with a `TypeError` or `RangeError` that names the argument; with the reason of `options.signal`;
 * with `ERR_DLM_TIMEOUT`; with `ERR_DLM_TOKENS`; with `ERR_DLM_GROUP_NAME` for a name that cannot be; and on stack `user` with an
 * error for each thing that a cluster host can lack, whose message says what to do (ERRORS.md).
 */
export async function openLockspace(name: string, options: LockspaceOptions): Promise<Lockspace> {
  checkText('name', name);
  checkLockspaceOptions(options);
  if (name === '') throw emptyName();
  throwIfAborted(options.signal);
  const stack = createStack(options);
  const wiring = new Wiring(options.protocol ?? FIRST_VERSION);
  const giveUp = new AbortController();
  const limit = new Limit(
    stack.plugin.clock ?? realClock,
    options,
    (timeoutMs) => openTimeout(name, timeoutMs),
    (why) => giveUp.abort(why()),
  );
  try {
    const connection = await stack.glue.clusterConnect({
      stackName: stack.label,
      group: name,
      protocol: wiring,
      recoveryHandler: (node) => wiring.nodeDown(node),
      noticeHandler: (notice) => wiring.notice(notice),
      signal: giveUp.signal,
    });
    const { treatUnsureAsLost = false, cache } = options;
    const lockspace = new Lockspace(stack, connection, wiring, treatUnsureAsLost, cache);
    await joined(lockspace, options, giveUp.signal);
    return lockspace;
  } finally {
    limit.lift();
  }
}

/** Rejects, and closes the lockspace, if it does not become one of those with tokens, or without. */
async function joined(
  lockspace: Lockspace,
  { tokens, tokensAbove = 0n }: LockspaceOptions,
  signal: AbortSignal,
): Promise<void> {
  const known = typeof tokensAbove === 'bigint' ? tokensAbove : 0n;
  const above = tokens === true ? () => seenBy(tokensAbove, signal) : undefined;
  try {
    await join(lockspace, above, known, { signal });
  } catch (error) {
    const closed = lockspace[Symbol.asyncDispose]();
    // Who has run out of time is not to wait for that, too.
    if (!signal.aborted) await closed;
    throw error;
  }
}

/** What the store has seen. */
async function seenBy(above: TokensAbove, signal: AbortSignal): Promise<bigint> {
  if (typeof above === 'bigint') return above;
  const token: unknown = await unlessAborted(
    signal,
    Promise.resolve().then(above),
    () => undefined,
  );
  checkToken('options.tokensAbove()', token);
  return token;
}

/** `o2cb` would take it, and then the program could not change its stack. */
function emptyName(): DlmError {
  return new DlmError(
    'ERR_DLM_GROUP_NAME',
    `"" cannot be a lockspace's name: it has no character`,
    {
      op: 'connect',
      resource: '',
      errno: constants.errno.EINVAL,
    },
  );
}

function openTimeout(name: string, timeoutMs: number): DlmError {
  return new DlmError(
    'ERR_DLM_TIMEOUT',
    `Opening lockspace "${name}" took longer than ${timeoutMs} ms: it recovers, or has no quorum`,
    { op: 'connect', resource: name, errno: constants.errno.ETIMEDOUT },
  );
}
