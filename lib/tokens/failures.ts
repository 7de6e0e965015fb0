/** The errors of tokens. */
import { constants } from 'node:os';

import { DlmError } from '../errors.js';

const { EOVERFLOW, EPERM } = constants.errno;

function failure(group: string, op: string, what: string, errno: number): DlmError {
  return new DlmError('ERR_DLM_TOKENS', `Lockspace "${group}" ${what}`, {
    op,
    resource: group,
    errno,
  });
}

/** Somebody has it open without, or with, tokens. */
export function otherKind(group: string, areTheirs: boolean): DlmError {
  return failure(
    group,
    'connect',
    areTheirs
      ? 'is open with tokens elsewhere, which locks without them would make worthless: open it with { tokens: true }, or close it there'
      : 'is open without tokens elsewhere, and locks without them would make tokens worthless: open it without { tokens: true }, or close it there',
    EPERM,
  );
}

/** The store has seen what this lockspace has not given. */
export function belowStore(group: string, above: bigint, last: bigint): DlmError {
  return failure(
    group,
    'connect',
    `is open elsewhere, and its tokens, up to ${last} by now, are not above "options.tokensAbove", ${above}: somebody has opened it without that. Close it everywhere, and open it with "tokensAbove" first`,
    EPERM,
  );
}

/** There is no epoch above what the store has seen. */
export function noneAbove(group: string, above: bigint): DlmError {
  return failure(
    group,
    'connect',
    `cannot be opened with "options.tokensAbove" ${above}: there are no tokens above it`,
    EOVERFLOW,
  );
}

/** More changes than can be counted. */
export function noMoreEpochs(group: string): DlmError {
  return failure(
    group,
    'lock',
    'has no more tokens: nodes have come and gone too often while it was open. Close it everywhere, and have the store forget the tokens that it has seen',
    EOVERFLOW,
  );
}

/** More names that were new than can be counted between two changes. */
export function noMoreSequences(group: string): DlmError {
  return failure(
    group,
    'lock',
    'has no more tokens for names that are new, until a node joins it or leaves: close it on one node, and open it again',
    EOVERFLOW,
  );
}

/** That nodes come and go is not told any more. */
export function notTold(group: string): DlmError {
  return failure(
    group,
    'lock',
    'has no more tokens for this process: its keeper has ended, and so it is not told of nodes that come and go. Close it, and open it again',
    EPERM,
  );
}
