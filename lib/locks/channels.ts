/**
 * What happens to locks, told on channels of `node:diagnostics_channel`: nothing is made, and no time taken, where nobody
 * listens. README.md has the table. On the thread of the event loop, from inside of what happens: listeners must not throw.
 */
import { channel, type Channel } from 'node:diagnostics_channel';

import type { StackClock } from '../glue.js';
import type { DlmError } from '../errors.js';
import type { LockMessage, RecoveryMessage, RevokedMessage } from './messages.js';
import { MODE_NAMES } from './modes.js';
import type { LockRecord } from './record.js';

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
