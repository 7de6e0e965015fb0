/** What is told on channels (channels.ts). In a file of its own: the types of the package do without Node.js's. */
import type { Mode } from './modes.js';
import type { LockName } from './rules.js';

/** What is told of a lock. */
export interface LockMessage {
  /** The lockspace's name. */
  readonly lockspace: string;
  readonly name: LockName;
  /** The mode that was asked for, is held, or is wanted by others (`blocked`). */
  readonly mode: Mode;
  /** It is of `lockspace.cached` or `cachedValue`. */
  readonly isCached: boolean;
  /**
   * Since it was asked for (`granted`, `converted`, `refused`) or granted (`released`, `lost`), by the lockspace's clock, in
   * milliseconds. Undefined: nobody listened then.
   */
  readonly durationMs?: number | undefined;
  /** `refused`: whatever the program was told; null where it was told that somebody is in the way. `lost`: why. */
  readonly error?: unknown;
}

/** What is told of a lockspace whose members change. */
export interface RecoveryMessage {
  readonly lockspace: string;
  /** A node has died, or the lockspace stands still, or goes on. */
  readonly kind: 'memberFailed' | 'stopped' | 'resumed';
  /** Which node has died. */
  readonly node?: number | undefined;
}

/** What is told when a level of a cached lock has been given away. */
export interface RevokedMessage {
  readonly lockspace: string;
  readonly name: LockName;
  readonly from: Mode;
  readonly to: Mode;
  /** As `onRevoke` has it. */
  readonly reason: string;
  /** Since it had to go: holds that ended, `onRevoke`, the lock manager's answer. */
  readonly durationMs: number;
}
