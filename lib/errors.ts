/** The errors of this package and the checks that raise them. */
import { inspect } from 'node:util';

import { statusName, statusSentence } from './status.js';

/**
 * Why an operation failed, as a program can tell it. A closed set: a new code is a new minor version.
 */
export type DlmErrorCode =
  /** The compiled addon is missing or does not load. */
  | 'ERR_DLM_ADDON'
  /** A variable of the environment has a value that is not known. */
  | 'ERR_DLM_ENVIRONMENT'
  /** A stack label is not of four characters. */
  | 'ERR_DLM_STACK_LABEL'
  /** Another stack is selected or in use. */
  | 'ERR_DLM_STACK_BUSY'
  /** No plugin serves this stack. */
  | 'ERR_DLM_STACK_UNKNOWN'
  /** A plugin of this name is registered already. */
  | 'ERR_DLM_STACK_EXISTS'
  /** A plugin that has connections, or a hangup pending, cannot go. */
  | 'ERR_DLM_STACK_IN_USE'
  /** The group name is too long or has characters that this stack cannot have in it. */
  | 'ERR_DLM_GROUP_NAME'
  /** The locking protocol is not the registered one, or not one that the group can run at. */
  | 'ERR_DLM_PROTOCOL'
  /** libdlm is not installed. */
  | 'ERR_DLM_NO_LIBRARY'
  /** The kernel's DLM is not loaded. */
  | 'ERR_DLM_NO_DLM'
  /** The DLM's device node is missing. */
  | 'ERR_DLM_NO_DEVICE'
  /** This user may not use the DLM, or not create a lockspace. */
  | 'ERR_DLM_PERMISSION'
  /** dlm_controld is not running or not ready. */
  | 'ERR_DLM_NO_DAEMON'
  /** dlm_controld did not let this node join the lockspace. */
  | 'ERR_DLM_DAEMON_REFUSED'
  /** The lockspace does not exist and was not to be created. */
  | 'ERR_DLM_UNKNOWN_LOCKSPACE'
  /** configfs cannot be watched, so a node's death could not be reported. */
  | 'ERR_DLM_NO_MEMBERSHIP'
  /** A lockspace that the kernel made for itself, here or on another node, is not for user space. */
  | 'ERR_DLM_FOREIGN_LOCKSPACE'
  /** The lockspace exists on this node, and was to be created exclusively. */
  | 'ERR_DLM_LOCKSPACE_EXISTS'
  /** The keeper, the process that opens lockspaces for us, could not be started or has died. */
  | 'ERR_DLM_NO_KEEPER'
  /** The cluster did not answer within the time that it was given. */
  | 'ERR_DLM_TIMEOUT'
  /** The lock manager refused a call: see `errno`. */
  | 'ERR_DLM_REFUSED'
  /** Connecting failed for another reason: see `errno`. */
  | 'ERR_DLM_CONNECT'
  /** The connection is, or is being, disconnected. */
  | 'ERR_DLM_DISCONNECTED'
  /** The connection was made by another glue. */
  | 'ERR_DLM_WRONG_GLUE'
  /** The lock status block belongs to another connection. */
  | 'ERR_DLM_WRONG_CONNECTION'
  /** The lock status block has a lock already. */
  | 'ERR_DLM_LKSB_BUSY'
  /** The lock status block has never been locked. */
  | 'ERR_DLM_LKSB_UNUSED'
  /** The memory of the lock's value block has been transferred to somebody else. */
  | 'ERR_DLM_LVB_DETACHED'
  /** A lock was lost: the lock manager has taken it away. */
  | 'ERR_DLM_LOST'
  /** The lockspace was closed. */
  | 'ERR_DLM_CLOSED'
  /** The lock was released before. */
  | 'ERR_DLM_RELEASED'
  /** Another call on the lock is under way. */
  | 'ERR_DLM_BUSY'
  /** Two conversions are in each other's way; this one was given up. */
  | 'ERR_DLM_DEADLOCK'
  /** A conversion that can wait for ever must have a limit on this stack. */
  | 'ERR_DLM_NO_LIMIT'
  /** The lock was taken without its value. */
  | 'ERR_DLM_NO_VALUE'
  /** The value is only written in `PW` and `EX`. */
  | 'ERR_DLM_READ_ONLY'
  /** `persistent`, `adopt` or `purge` on a stack that keeps no lock of a process that has ended. */
  | 'ERR_DLM_NO_ORPHANS'
  /** The lockspace is open with tokens where it was to be without, or the other way; or there are no more. */
  | 'ERR_DLM_TOKENS'
  /** The lock has no fencing token. */
  | 'ERR_DLM_NO_TOKEN'
  /** A lock of that name was left by a process that has ended, but in another mode. */
  | 'ERR_DLM_ORPHAN_MODE'
  /** A hold in `EX` inside one in `PR`. */
  | 'ERR_DLM_NESTED'
  /** The name is cached otherwise: with its value, or without. */
  | 'ERR_DLM_CACHED'
  /** What was to be stored before a cached lock went has not been. */
  | 'ERR_DLM_REVOKE'
  /** No hangup is pending. */
  | 'ERR_DLM_NO_HANGUP'
  /** `DLM_LKF.TIMEOUT` was asked for, which no current kernel honours. */
  | 'ERR_DLM_TIMEOUT_FLAG'
  /** Simulator: nothing is due any more, and what is waited for has not come. */
  | 'ERR_DLM_SIMULATION_STUCK'
  /** Simulator: more steps than were allowed. */
  | 'ERR_DLM_SIMULATION_LIMIT'
  /** Simulator: a replay does something else than the history that it follows. */
  | 'ERR_DLM_SIMULATION_DIVERGED'
  /** Simulator: a text is not the history of a simulation. */
  | 'ERR_DLM_SIMULATION_HISTORY'
  /** Simulator: a program did not do what it should, under a seed. */
  | 'ERR_DLM_SIMULATION_FAILED'
  /** Simulator: a node is not in the state that a call takes, or ended before it was done. */
  | 'ERR_DLM_SIMULATION_NODE'
  /** Simulator: somebody else makes the steps. */
  | 'ERR_DLM_SIMULATION_BUSY'
  /** Simulator: a worker thread with nodes has ended, or does not keep to the protocol. */
  | 'ERR_DLM_SIMULATION_WORKER'
  /** Simulator: it is closed. */
  | 'ERR_DLM_SIMULATION_CLOSED';

/**
 * What a program can do about it:
 *
 * - `busy`: something else is under way.
 * - `timeout`: it took longer than it might.
 * - `deadlock`: two wait for each other, and this one has been given up.
 * - `lost`: what was held is gone.
 * - `closed`: by this program, itself.
 * - `noCluster`: the host lacks something, which the message names.
 * - `misuse`: the program is wrong.
 * - `refused`: the lock manager said no.
 * - `simulation`: the simulator's.
 */
export type DlmErrorKind =
  | 'busy'
  | 'timeout'
  | 'deadlock'
  | 'lost'
  | 'closed'
  | 'noCluster'
  | 'misuse'
  | 'refused'
  | 'simulation';

/** Of each code. The compiler sees to it that all are there. */
export const ERROR_KINDS: Readonly<Record<DlmErrorCode, DlmErrorKind>> = Object.freeze({
  ERR_DLM_ADDON: 'noCluster',
  ERR_DLM_ENVIRONMENT: 'misuse',
  ERR_DLM_STACK_LABEL: 'misuse',
  ERR_DLM_STACK_BUSY: 'busy',
  ERR_DLM_STACK_UNKNOWN: 'misuse',
  ERR_DLM_STACK_EXISTS: 'misuse',
  ERR_DLM_STACK_IN_USE: 'busy',
  ERR_DLM_GROUP_NAME: 'misuse',
  ERR_DLM_PROTOCOL: 'refused',
  ERR_DLM_NO_LIBRARY: 'noCluster',
  ERR_DLM_NO_DLM: 'noCluster',
  ERR_DLM_NO_DEVICE: 'noCluster',
  ERR_DLM_PERMISSION: 'noCluster',
  ERR_DLM_NO_DAEMON: 'noCluster',
  ERR_DLM_DAEMON_REFUSED: 'noCluster',
  ERR_DLM_UNKNOWN_LOCKSPACE: 'noCluster',
  ERR_DLM_NO_MEMBERSHIP: 'noCluster',
  ERR_DLM_FOREIGN_LOCKSPACE: 'refused',
  ERR_DLM_LOCKSPACE_EXISTS: 'refused',
  ERR_DLM_NO_KEEPER: 'noCluster',
  ERR_DLM_TIMEOUT: 'timeout',
  ERR_DLM_REFUSED: 'refused',
  ERR_DLM_CONNECT: 'refused',
  ERR_DLM_DISCONNECTED: 'closed',
  ERR_DLM_WRONG_GLUE: 'misuse',
  ERR_DLM_WRONG_CONNECTION: 'misuse',
  ERR_DLM_LKSB_BUSY: 'busy',
  ERR_DLM_LKSB_UNUSED: 'misuse',
  ERR_DLM_LVB_DETACHED: 'misuse',
  ERR_DLM_LOST: 'lost',
  ERR_DLM_CLOSED: 'closed',
  ERR_DLM_RELEASED: 'misuse',
  ERR_DLM_BUSY: 'busy',
  ERR_DLM_DEADLOCK: 'deadlock',
  ERR_DLM_NO_LIMIT: 'misuse',
  ERR_DLM_NO_VALUE: 'misuse',
  ERR_DLM_READ_ONLY: 'misuse',
  ERR_DLM_NO_ORPHANS: 'misuse',
  ERR_DLM_TOKENS: 'refused',
  ERR_DLM_NO_TOKEN: 'misuse',
  ERR_DLM_ORPHAN_MODE: 'refused',
  ERR_DLM_NESTED: 'misuse',
  ERR_DLM_CACHED: 'misuse',
  ERR_DLM_REVOKE: 'refused',
  ERR_DLM_NO_HANGUP: 'misuse',
  ERR_DLM_TIMEOUT_FLAG: 'misuse',
  ERR_DLM_SIMULATION_STUCK: 'simulation',
  ERR_DLM_SIMULATION_LIMIT: 'simulation',
  ERR_DLM_SIMULATION_DIVERGED: 'simulation',
  ERR_DLM_SIMULATION_HISTORY: 'simulation',
  ERR_DLM_SIMULATION_FAILED: 'simulation',
  ERR_DLM_SIMULATION_NODE: 'simulation',
  ERR_DLM_SIMULATION_BUSY: 'simulation',
  ERR_DLM_SIMULATION_WORKER: 'simulation',
  ERR_DLM_SIMULATION_CLOSED: 'simulation',
});

const RETRYABLE: ReadonlySet<DlmErrorKind> = new Set(['busy', 'timeout', 'deadlock']);

/** What went wrong, and where. */
export interface DlmErrorDetails {
  /** Positive errno; absent when none applies. */
  readonly errno?: number;
  /** The operation, e.g. `connect`. */
  readonly op: string;
  /** The group or lock that it was about. */
  readonly resource?: string;
  /** The stack's own name for its status. */
  readonly status?: string;
}

/** An operation that failed for a reason outside the program, or broke a rule of the contract. */
export class DlmError extends Error {
  override readonly name = 'DlmError';
  readonly code: DlmErrorCode;
  /** Positive errno, or undefined when none applies. */
  readonly errno: number | undefined;
  readonly op: string;
  readonly resource: string | undefined;
  /** The stack's own name for its status, or the errno's name. */
  readonly status: string | undefined;

  constructor(code: DlmErrorCode, message: string, details: DlmErrorDetails) {
    super(message);
    checkObject('details', details);
    this.code = code;
    this.errno = details.errno;
    this.op = details.op;
    this.resource = details.resource;
    this.status =
      details.status ??
      (details.errno === undefined || details.errno <= 0 ? undefined : statusName(details.errno));
  }

  /** What a program can do about it. */
  get kind(): DlmErrorKind {
    return ERROR_KINDS[this.code];
  }

  /**
   * Whether the same call may succeed when it is made again, on the same objects and later: after a timeout
   * or a deadlock (when what is held has been released), and when something was under way.
   */
  get isRetryable(): boolean {
    return RETRYABLE.has(this.kind);
  }

  /**
   * The error for a status that a call has returned or a lock has ended in: `ERR_DLM_REFUSED`, with the errno,
   * its name, and what it says.
   *
   * @param status negative, as `dlmLockStatus`, `dlmLock`, `dlmUnlock` and the unlock AST give it.
   * @throws {RangeError} for 0, which is no error, and for what is no status.
   */
  static fromStatus(status: number, details: Pick<DlmErrorDetails, 'op' | 'resource'>): DlmError {
    checkInteger('status', status, -(2 ** 31), -1);
    checkObject('details', details);
    const { op, resource } = details;
    checkString('details.op', op);
    if (resource !== undefined) checkString('details.resource', resource);
    const what = resource === undefined ? op : `${op} of "${resource}"`;
    return new DlmError('ERR_DLM_REFUSED', `The ${what} failed: ${statusSentence(status)}`, {
      op,
      ...(resource !== undefined && { resource }),
      errno: -status,
    });
  }
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === 'function') return `function ${value.name}`;
  if (typeof value !== 'object') return `type ${typeof value} (${inspect(value).slice(0, 32)})`;
  const { constructor } = value as { constructor?: { name?: string } };
  return `an instance of ${constructor?.name ?? 'Object'}`;
}

/** A `TypeError` with Node's own code for it, naming the argument. */
export function invalidType(argument: string, expected: string, actual: unknown): TypeError {
  const message = `The "${argument}" argument must be ${expected}. Received ${describe(actual)}`;
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_TYPE' as const, argument });
}

/** A `RangeError` with Node's own code for it, naming the argument. */
export function outOfRange(argument: string, expected: string, actual: unknown): RangeError {
  const message = `The value of "${argument}" is out of range. It must be ${expected}. Received ${describe(actual)}`;
  return Object.assign(new RangeError(message), { code: 'ERR_OUT_OF_RANGE' as const, argument });
}

/**
 * Throws unless `options` is an object that has no other properties than the options: one that is misspelt
 * would go unnoticed. `known` has them all, which the compiler sees to.
 */
export function checkOptions<Options extends object>(
  argument: string,
  options: unknown,
  known: Readonly<Record<keyof Options, true>>,
): asserts options is Options {
  checkObject(argument, options);
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(known, name)) continue;
    const nearest = nearestOf(name, Object.keys(known));
    const hint = nearest === undefined ? '' : ` Did you mean "${nearest}"?`;
    const message = `The "${argument}.${name}" argument is no option.${hint}`;
    throw Object.assign(new TypeError(message), {
      code: 'ERR_INVALID_ARG_VALUE' as const,
      argument: `${argument}.${name}`,
    });
  }
}

/** Which of the names was meant, if one is near. */
function nearestOf(name: string, names: readonly string[]): string | undefined {
  const [best] = names
    .map((each) => ({ each, distance: distanceOf(name.toLowerCase(), each.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  return best !== undefined && best.distance <= best.each.length / 2 ? best.each : undefined;
}

/** How many letters have to be put in, left out or replaced to make one of the other. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let index = 0; index < a.length; index += 1) {
    const next = [index + 1];
    for (let column = 1; column <= b.length; column += 1) {
      const isSame = a[index] === b[column - 1];
      next[column] = Math.min(
        (next[column - 1] ?? 0) + 1,
        (row[column] ?? 0) + 1,
        (row[column - 1] ?? 0) + (isSame ? 0 : 1),
      );
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

/** Throws unless `value` is an integer from `min` to `max`. */
export function checkInteger(
  argument: string,
  value: unknown,
  min: number,
  max: number,
): asserts value is number {
  if (typeof value !== 'number') throw invalidType(argument, 'of type number', value);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw outOfRange(argument, `an integer from ${min} to ${max}`, value);
  }
}

const U64_MAX = 2n ** 64n - 1n;

/** Throws unless `value` is a bigint from 0 to 2^64 - 1. */
export function checkUnsigned64(argument: string, value: unknown): asserts value is bigint {
  if (typeof value !== 'bigint') throw invalidType(argument, 'of type bigint', value);
  if (value < 0n || value > U64_MAX) throw outOfRange(argument, `from 0 to ${U64_MAX}`, value);
}

/** Throws unless `value` is a function. */
export function checkFunction(argument: string, value: unknown): void {
  if (typeof value !== 'function') throw invalidType(argument, 'of type function', value);
}

/** Throws unless `value` is an object. */
export function checkObject(argument: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null) {
    throw invalidType(argument, 'of type object', value);
  }
}

/** Throws unless `value` is a boolean. */
export function checkBoolean(argument: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw invalidType(argument, 'of type boolean', value);
}

/** Throws unless `value` is a string. */
export function checkString(argument: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw invalidType(argument, 'of type string', value);
}

/**
 * Throws unless `value` is a string for which UTF-8 has bytes of its own: of half a surrogate pair it
 * would make what it makes of any other.
 */
export function checkText(argument: string, value: unknown): asserts value is string {
  checkString(argument, value);
  if (!value.isWellFormed()) throw outOfRange(argument, 'without lone surrogates', value);
}
