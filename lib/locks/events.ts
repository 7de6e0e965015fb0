/** What a lockspace tells those who listen. */
import { checkFunction, checkString, outOfRange } from '../errors.js';
import type { Health } from './health.js';
import type { Lock } from './lock.js';
import type { Mode } from './modes.js';
import type { LockName } from './rules.js';

/** What a lockspace tells, and with what. */
export interface LockspaceEvents {
  /** `health` is another. */
  health: [Health];
  /** A node has joined the lockspace. */
  memberJoined: [node: number];
  /** A node has left in good order. */
  memberLeft: [node: number];
  /** A node has died. What it held is granted to others after this. */
  memberFailed: [node: number];
  /** A lock of ours is in the way of a request for `mode`; once for each higher mode, as `lock.onBlocked`. */
  blocked: [lock: Lock, mode: Mode];
  /** An `onRevoke` of a cached lock has failed, so others wait. Without a listener it is a process warning. */
  revokeFailed: [name: LockName, error: unknown];
}

const EVENTS: Readonly<Record<keyof LockspaceEvents, true>> = {
  health: true,
  memberJoined: true,
  memberLeft: true,
  memberFailed: true,
  blocked: true,
  revokeFailed: true,
};

/** Throws unless it is an event, and a listener. */
export function checkEvent(event: unknown, listener: unknown): void {
  checkString('event', event);
  if (!Object.hasOwn(EVENTS, event)) {
    throw outOfRange('event', `one of ${Object.keys(EVENTS).join(', ')}`, event);
  }
  checkFunction('listener', listener);
}
