/**
 * What happens to locks, told on channels of `node:diagnostics_channel`: nothing is made, and no time taken, where nobody
 * listens. README.md has the table. On the thread of the event loop, from inside of what happens: listeners must not throw.
 */
import { channel, type Channel } from 'node:diagnostics_channel';

import type { StackClock } from '../glue.js';
import type { DlmError } from '../errors.js';
import { MODE_NAMES, type Mode } from './modes.js';
import type { LockRecord } from './record.js';
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

const ofLocks = (what: string): Channel<unknown, LockMessage> =>
  channel(`stackglue.lock.${what}`) as Channel<unknown, LockMessage>;

/** By what they tell. */
export const CHANNELS = Object.freeze({
  request: ofLocks('request'),
  granted: ofLocks('granted'),
  refused: ofLocks('refused'),
  converted: ofLocks('converted'),
  blocked: ofLocks('blocked'),
  released: ofLocks('released'),
  lost: ofLocks('lost'),
});

/** Who follows the members' changes. */
export const RECOVERY = channel('stackglue.recovery') as Channel<unknown, RecoveryMessage>;

/** Who follows what cached locks give away. */
export const REVOKED = channel('stackglue.cache.revoked') as Channel<unknown, RevokedMessage>;

/** What is told of one lockspace's locks. */
export class Teller {
  readonly #lockspace: string;
  readonly #clock: StackClock;
  /** When what is under way, or held, began. */
  readonly #since = new WeakMap<LockRecord, number>();

  constructor(lockspace: string, clock: StackClock) {
    this.#lockspace = lockspace;
    this.#clock = clock;
  }

  /** Something was asked for. */
  request(record: LockRecord): void {
    if (!isFollowed()) return;
    this.#since.set(record, this.#clock.now());
    this.#tell(CHANNELS.request, record, record.wanted);
  }

  granted(record: LockRecord, isNew: boolean): void {
    if (!isFollowed()) return;
    this.#tell(isNew ? CHANNELS.granted : CHANNELS.converted, record, record.mode);
    this.#since.set(record, this.#clock.now());
  }

  refused(record: LockRecord, mode: number, error: unknown): void {
    if (CHANNELS.refused.hasSubscribers) this.#tell(CHANNELS.refused, record, mode, error);
  }

  blocked(record: LockRecord, wanted: number): void {
    if (CHANNELS.blocked.hasSubscribers) this.#tell(CHANNELS.blocked, record, wanted);
  }

  released(record: LockRecord): void {
    if (CHANNELS.released.hasSubscribers) this.#tell(CHANNELS.released, record, record.mode);
  }

  lost(record: LockRecord, end: DlmError): void {
    if (CHANNELS.lost.hasSubscribers) this.#tell(CHANNELS.lost, record, record.mode, end);
  }

  #tell(
    to: Channel<unknown, LockMessage>,
    record: LockRecord,
    mode: number,
    error?: unknown,
  ): void {
    if (record.isOwn || !to.hasSubscribers) return;
    const since = this.#since.get(record);
    const isTimed = to !== CHANNELS.request && to !== CHANNELS.blocked && since !== undefined;
    to.publish({
      lockspace: this.#lockspace,
      name: record.name,
      mode: MODE_NAMES[mode] ?? 'NL',
      isCached: typeof record.onBlocked === 'object',
      ...(isTimed && { durationMs: this.#clock.now() - since }),
      ...(error !== undefined && { error }),
    });
  }
}

/** Whether anybody wants to know how long something took. */
function isFollowed(): boolean {
  return (
    CHANNELS.request.hasSubscribers ||
    CHANNELS.granted.hasSubscribers ||
    CHANNELS.converted.hasSubscribers ||
    CHANNELS.refused.hasSubscribers ||
    CHANNELS.released.hasSubscribers ||
    CHANNELS.lost.hasSubscribers
  );
}
