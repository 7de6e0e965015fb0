/**
 * The lock status block: `ocfs2_dlm_lksb`, one type for every stack. The caller never looks inside;
 * `lockStatus`, `lockMode`, `lockFlags`, `lvb` and `lvbValid` do.
 *
 * All of it is the lock's own. A completion brings what it says of the lock with it, its value block
 * included, and a request takes the value block along: no memory is shared with native code, nor between locks.
 */
import { constants } from 'node:os';
import { inspect, type InspectOptions } from 'node:util';

import { DLM_LOCK, type LockMode } from '../constants.js';
import { checkOptions, checkUnsigned64, DlmError, invalidType } from '../errors.js';
import { statusName } from '../status.js';
import type { StackConnection } from './connection.js';

/** What the glue and the stacks keep in a lock status block. */
export interface LksbState {
  /** Whose inside this is. */
  readonly lksb: DlmLksb;
  /** `lksb_conn`: the connection of its first lock. */
  connection: StackConnection | undefined;
  /** The stack's own status of the last completion, or of a refusal. */
  status: number;
  /**
   * For people: what the stack refused its last new lock with, negative, where that is not in `status`. 0: it
   * was accepted.
   */
  refusal: number;
  /** `DLM_SBF_*` of the last completion. */
  flags: number;
  /** The lock manager's id of the lock: 32 bits. */
  lockId: number;
  /** The mode that is held, or {@link NO_MODE}. */
  mode: number;
  /** The transaction that its locks are of, or undefined. */
  readonly transactionId: bigint | undefined;
  /**
   * The name of its last lock, if that was a string; how many bytes it has, and by which key a stack has kept
   * them, 0: by none.
   */
  name: string | undefined;
  nameSize: number;
  nameKey: number;
  /** The stack's index of its lock, or -1. */
  index: number;
  /** How many locks and conversions the stack has accepted, and not told the end of. */
  requestsDue: number;
  /** Whether that goes for an unlock. */
  isUnlocking: boolean;
  /** A completion is being told, and its status is shown although something else is under way. */
  showsResult: boolean;
  /** What the lock and blocking ASTs are given. */
  astarg: unknown;
  /** For a lock of the stack's own: who is told of its completions instead of the caller. */
  onCompletion: (() => void) | undefined;
  /** For stacks: what the unlock AST that is due will be given, or the first of several. */
  unlockAstarg: unknown;
  /** The same for a cancel's, for a stack that tells them apart. */
  cancelAstarg: unknown;
  /** For a stack of which several can be due: how many are, and what all but the first will be given. */
  unlocksDue: number;
  laterAstargs: unknown[] | undefined;
  /** The value block, once somebody has looked at it, or a completion has brought one. */
  lvb: Uint8Array<ArrayBuffer> | undefined;
}

/** `LksbState.mode` while nothing is held. */
export const NO_MODE = -1;

function newState(lksb: DlmLksb, transactionId: bigint | undefined): LksbState {
  return {
    lksb,
    connection: undefined,
    status: 0,
    refusal: 0,
    flags: 0,
    lockId: 0,
    mode: NO_MODE,
    transactionId,
    name: undefined,
    nameSize: 0,
    nameKey: 0,
    index: -1,
    requestsDue: 0,
    isUnlocking: false,
    showsResult: false,
    astarg: undefined,
    onCompletion: undefined,
    unlockAstarg: undefined,
    cancelAstarg: undefined,
    unlocksDue: 0,
    laterAstargs: undefined,
    lvb: undefined,
  };
}

/** What a lock status block can be given. */
export interface DlmLksbOptions {
  /**
   * The transaction that its locks are of: 0 to 2^64 - 1, 0 by default. Only stack `user` has it, where
   * it is the `xid` of libdlm's dlm_ls_lockx: a number for people and for deadlock detectors, which the
   * kernel shows in debugfs and acts on in no way.
   */
  readonly transactionId?: bigint | undefined;
}

const OPTIONS: Readonly<Record<keyof DlmLksbOptions, true>> = { transactionId: true };

/** What the stack makes of its status: a name. A plugin may be somebody else's, and print badly. */
function printStatus({ lksb, connection, status }: LksbState): string {
  try {
    return statusName(connection?.plugin.operations.lockStatus(lksb) ?? status);
  } catch {
    return `status ${status}`;
  }
}

/** For people: what there is to see of a lock, if it has been one. */
function inspectLksb(this: unknown, depth: number, options: InspectOptions): string {
  // An object that only has one for its prototype is none.
  if (!isLksb(this)) return 'DlmLksb {}';
  if (depth < 0) return '[DlmLksb]';
  const state = stateOf(this);
  if (state.connection === undefined) return 'DlmLksb { never locked }';
  const { name, mode, refusal, lvb } = state;
  const held = Object.entries(DLM_LOCK).find(([, number]) => number === mode);
  const seen = {
    ...(name !== undefined && { name }),
    mode: held?.[0],
    // No completion tells of what was refused: the status is of another lock, or of none.
    ...(refusal === 0 ? { status: printStatus(state) } : { refused: statusName(refusal) }),
    ...(lvb !== undefined && { lvb: isLvbDetached(state) ? 'detached' : Buffer.from(lvb) }),
  };
  return `DlmLksb ${inspect(seen, options)}`;
}

let stateOf: (value: unknown) => LksbState;
let isLksb: (value: unknown) => boolean;

/**
 * A lock status block. It belongs to the connection of its first lock for good, has at most one lock
 * at a time, and can be used again once that lock is gone.
 */
export class DlmLksb {
  readonly #state: LksbState;

  constructor(options: DlmLksbOptions = {}) {
    checkOptions<DlmLksbOptions>('options', options, OPTIONS);
    const { transactionId } = options;
    if (transactionId !== undefined) checkUnsigned64('options.transactionId', transactionId);
    this.#state = newState(this, transactionId);
  }

  static {
    isLksb = (value) => typeof value === 'object' && value !== null && #state in value;
    // Not declared: the types of the package do without Node.js's.
    Object.defineProperty(this.prototype, inspect.custom, { value: inspectLksb });
    stateOf = (value) => {
      // Fewer bytecodes than to look first: V8 has room for little on the way of every lock.
      try {
        return (value as DlmLksb).#state;
      } catch {
        throw noLksb(value);
      }
    };
  }
}

function noLksb(value: unknown): TypeError {
  return invalidType('lksb', 'an instance of DlmLksb', value);
}

/**
 * The inside of a lock status block; for the glue and stacks. Throws when the value is none. One
 * function, because every call about a lock asks several times.
 */
export const lksbState = stateOf;

/** Whether a request is under way, and to be told of: a lock, conversion or unlock. */
export function isUnderWay(state: LksbState): boolean {
  return (state.requestsDue > 0 || state.isUnlocking) && !state.showsResult;
}

/** The mode that is held; undefined while there is none. */
export function heldMode({ mode }: LksbState): LockMode | undefined {
  return mode === NO_MODE ? undefined : (mode as LockMode);
}

/** The lock is no more, and nothing is under way. */
export function endLock(state: LksbState): void {
  state.index = -1;
  state.mode = NO_MODE;
  state.requestsDue = 0;
  state.isUnlocking = false;
}

/** Whether somebody has transferred the value block's memory. */
export function isLvbDetached({ lvb }: LksbState): boolean {
  // No other buffer of ours becomes shorter.
  return lvb?.length === 0;
}

/**
 * The value block, `length` bytes, always the same array. Throws `ERR_DLM_LVB_DETACHED` when its memory has
 * been transferred, until a completion or a new lock brings another one.
 */
export function lvbOf(state: LksbState, length: number): Uint8Array<ArrayBuffer> {
  if (isLvbDetached(state)) throw lvbDetached('lvb');
  return (state.lvb ??= new Uint8Array(length));
}

/** For a request by `op` that would send the value block. */
export function lvbDetached(op: string): DlmError {
  return new DlmError(
    'ERR_DLM_LVB_DETACHED',
    'The value block of lksb has been transferred (its buffer is detached), so there is nothing to send or show: post a copy of it. A completion or a new lock brings another one',
    { op, errno: constants.errno.EINVAL },
  );
}
