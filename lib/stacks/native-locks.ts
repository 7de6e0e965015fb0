/**
 * What both stacks share: a connection's live locks by the native index, the requests about them, and the
 * dispatch of event batches to them.
 *
 * Invariant: a lock is in the table from the native `lock()` until its final event, so an index names one
 * lock at a time.
 */
import { DLM_LKF, DLM_LOCK, type LockMode } from '../constants.js';
import type { StackConnection } from '../stackglue/connection.js';
import {
  endLock,
  isLvbDetached,
  isUnderWay,
  lvbDetached,
  NO_MODE,
  type LksbState,
} from '../stackglue/lksb.js';
import {
  BATCH_ARGUMENTS,
  BATCH_BLOCK,
  BATCH_NEXT,
  BATCH_REQUEST,
  BATCH_RESULT,
  BATCH_TOLD,
  BATCH_TRANSACTION,
  BATCH_WORDS,
  EVENT_BATCH_MAX,
  EVENT_BLOCK,
  EVENT_WORDS,
  EventKind,
  RequestKind,
  type NativeConnection,
} from '../native.js';
import { LockTable } from './lock-table.js';
import { NameWriter } from './name-writer.js';

// Every lock comes through here several times. V8 makes constants of what a module itself declares so,
// but looks up what it imports each time: with these, a lock and unlock take a tenth less.
const { completion: COMPLETION, blocking: BLOCKING, nodeDown: NODE_DOWN, call: CALL } = EventKind;
const { unlock: UNLOCK_AST } = EventKind;
const { lock: LOCK, unlock: UNLOCK, convert: CONVERT } = RequestKind;
const WORDS = EVENT_WORDS;
const TOLD = BATCH_TOLD;
const ALL_TOLD = EVENT_BATCH_MAX;
const NEXT = BATCH_NEXT;
const REQUEST = BATCH_REQUEST;
const [FIRST, SECOND, THIRD] = [BATCH_ARGUMENTS, BATCH_ARGUMENTS + 1, BATCH_ARGUMENTS + 2];
const TRANSACTION = BATCH_TRANSACTION;
const RESULT = BATCH_RESULT;
const { CANCEL, VALBLK } = DLM_LKF;
const { PW } = DLM_LOCK;
/** The status of a completion that every stack has. */
const GRANTED = 0;

/** For microtasks, which `queueMicrotask` takes three times as long to make. */
const RESOLVED = Promise.resolve();

/** What a stack does with the events that it must interpret: a grant is told as it comes. */
export interface AstWrappers {
  /** A completion came that is no grant; the status block tells of what. */
  completion(connection: StackConnection, state: LksbState): void;
  /** An unlock AST came with the stack's own status. */
  unlock(connection: StackConnection, state: LksbState, status: number): void;
  /** A call that is about no lock has completed. */
  call?(ticket: number, status: number): void;
}

/** Who there is before there is a native connection: nobody asks for anything. */
const NOT_OPEN = {
  request(): never {
    throw new Error('stackglue: a request about a lock before the connection is open');
  },
};

/** The locks of one connection to a native stack. */
export class NativeLocks {
  /** Shared, because native code writes to it and shared memory cannot be detached. */
  readonly batch = new Int32Array(
    new SharedArrayBuffer(BATCH_WORDS * Int32Array.BYTES_PER_ELEMENT),
  );
  /** Who takes the requests, and may have more batches than it delivers. Set by whoever opens it. */
  native: Pick<NativeConnection, 'request' | 'more'> = NOT_OPEN;
  readonly #bytes = new Uint8Array(this.batch.buffer);
  readonly #names = new NameWriter(this.batch);
  readonly #locks = new LockTable();
  readonly #connection: StackConnection;
  readonly #wrappers: AstWrappers;
  readonly #lvbLength: number;
  readonly #answersAtOnce: boolean;
  /** The one whose id is in the batch's words. */
  #transactionId: bigint | undefined;
  /** Something has been asked for since the last look, and what came of it is not in the next batch. */
  #hasAsked = false;
  /** What is asked for now is looked at by somebody who is at it, or by a microtask that is due. */
  #isLooking = false;

  /**
   * `lvbLength`: of a value block, bytes. `answersAtOnce`: what is asked for is mostly ready when the call
   * that asks returns.
   */
  constructor(
    connection: StackConnection,
    wrappers: AstWrappers,
    lvbLength: number,
    answersAtOnce: boolean,
  ) {
    this.#connection = connection;
    this.#wrappers = wrappers;
    this.#lvbLength = lvbLength;
    this.#answersAtOnce = answersAtOnce;
  }

  /** A new lock: 0, or the stack's refusal. */
  lock(state: LksbState, mode: number, flags: number, name: string | Uint8Array): number {
    const { transactionId } = state;
    if (transactionId !== this.#transactionId) this.#giveTransaction(transactionId);
    const index = this.#request(LOCK, mode, flags, this.#names.write(state, name));
    if (index < 0) return index;
    state.index = index;
    state.requestsDue = 1;
    if (state.lvb !== undefined) leaveDetached(state);
    this.#locks.add(index, state);
    return 0;
  }

  /**
   * Another mode of a lock that there is: 0, or the stack's refusal. `flags` are the stack's own, `asked` are
   * those of `DLM_LKF`. Throws `ERR_DLM_LVB_DETACHED` for a value block that is to be sent and is not there.
   */
  convert(state: LksbState, mode: number, flags: number, asked: number): number {
    if ((asked & VALBLK) !== 0) this.#giveBlock(state, mode, 'lock');
    const { transactionId } = state;
    if (transactionId !== this.#transactionId) this.#giveTransaction(transactionId);
    const refusal = this.#request(CONVERT, state.index, mode, flags);
    if (refusal === 0) {
      state.requestsDue += 1;
      state.showsResult = false;
    }
    return refusal;
  }

  /** The unlock of a lock that there is, or a cancel of what is under way: as `convert`. */
  unlockBy(state: LksbState, flags: number, asked: number): number {
    if ((asked & CANCEL) !== 0) return this.#request(UNLOCK, state.index, flags, 0);
    if ((asked & VALBLK) !== 0) this.#giveBlock(state, NO_MODE, 'unlock');
    return this.unlock(state, flags);
  }

  /** An unlock for which nothing else is asked for: 0, or the stack's refusal. */
  unlock(state: LksbState, flags: number): number {
    const refusal = this.#request(UNLOCK, state.index, flags, 0);
    if (refusal === 0) {
      state.isUnlocking = true;
      state.showsResult = false;
    }
    return refusal;
  }

  /** Leaves the lock's value block for a request that goes to `mode`. */
  #giveBlock(state: LksbState, mode: number, op: string): void {
    const { lvb } = state;
    if (isLvbDetached(state)) {
      const isSent = state.requestsDue > 0 || (state.mode >= PW && mode <= state.mode);
      if (state.index >= 0 && isSent) throw lvbDetached(op);
    }
    const at = BATCH_BLOCK * Int32Array.BYTES_PER_ELEMENT;
    // Every byte: what is left there may be another lock's.
    for (let i = 0; i < this.#lvbLength; i += 1) this.#bytes[at + i] = lvb?.[i] ?? 0;
  }

  /** By the words behind the batch: {@link NativeConnection.request}. */
  #request(kind: number, first: number, second: number, third: number): number {
    const { batch } = this;
    batch[REQUEST] = kind;
    batch[FIRST] = first;
    batch[SECOND] = second;
    batch[THIRD] = third;
    const next = batch[NEXT];
    this.native.request();
    // Native code only makes a next batch where there is none.
    if (batch[NEXT] === next) this.#hasAsked = true;
    if (!this.#isLooking) this.#lookSoon();
    return batch[RESULT] ?? 0;
  }

  // On their own, so that V8 has room for what is on the way of every lock.

  #giveTransaction(id: bigint | undefined): void {
    this.#transactionId = id;
    this.batch[TRANSACTION] = Number(BigInt.asIntN(32, id ?? 0n));
    this.batch[TRANSACTION + 1] = Number(BigInt.asIntN(32, (id ?? 0n) >> 32n));
  }

  /**
   * A program of promises asks in microtasks. To be called anew by native code for what that has led to would
   * take as long as all else about a lock.
   */
  #lookSoon(): void {
    this.#isLooking = true;
    if (this.#answersAtOnce) void RESOLVED.then(this.#look);
  }

  /** The native side's `onEvents`. */
  readonly dispatch = (count: number): void => {
    this.#isLooking = true;
    for (let size = count; size > 0; size = this.#takeNext()) this.#tellBatch(size);
    this.batch[TOLD] = ALL_TOLD;
    this.#isLooking = false;
  };

  /** In a microtask, for what was asked for outside of the handlers. */
  readonly #look = (): void => {
    this.dispatch(this.#takeNext());
  };

  /** The size of the next batch; 0: there is none. */
  #takeNext(): number {
    const { batch } = this;
    const size = batch[NEXT] ?? 0;
    if (size > 0) {
      batch[NEXT] = 0;
      return size;
    }
    // What else has come is looked for when this returns.
    if (this.#answersAtOnce && !this.#hasAsked) return 0;
    this.#hasAsked = false;
    return this.native.more?.() ?? 0;
  }

  #tellBatch(count: number): void {
    const { batch } = this;
    // From the handlers of the last event on, the batch may have become the next one.
    for (let place = 0; place < count; place += 1) {
      const at = place * WORDS;
      batch[TOLD] = place;
      // A handler may have disconnected; no handler is called after that.
      if (this.#connection.state === 'disconnecting') return;
      const kind = batch[at] ?? 0;
      const index = batch[at + 1] ?? -1;
      const value = batch[at + 2] ?? 0;
      if (kind === NODE_DOWN || kind === CALL) {
        this.#tellOfGroup(kind, index, value);
        continue;
      }
      const state = this.#locks.get(index);
      if (state === undefined) continue;
      if (kind === COMPLETION) this.#complete(state, index, value, at);
      else this.#tell(state, kind, index, value, at);
    }
  }

  #complete(state: LksbState, index: number, status: number, at: number): void {
    const { batch } = this;
    state.status = status;
    state.flags = batch[at + 4] ?? 0;
    state.lockId = batch[at + 5] ?? 0;
    state.mode = batch[at + 6] ?? NO_MODE;
    if (batch[at + 7] === 1) this.#takeBlock(state, at);
    if (state.requestsDue > 0) state.requestsDue -= 1;
    if (batch[at + 3] === 1) this.#end(state, index);
    // Of an unlock by force that the grant was faster than, say.
    const hasMore = isUnderWay(state);
    if (hasMore) state.showsResult = true;
    if (state.onCompletion !== undefined) state.onCompletion();
    else if (status === GRANTED) this.#connection.lockAst(state.lksb);
    else this.#wrappers.completion(this.#connection, state);
    if (hasMore) state.showsResult = false;
  }

  /** An unlock AST, or a blocking AST. */
  #tell(state: LksbState, kind: number, index: number, value: number, at: number): void {
    if (kind === UNLOCK_AST) state.mode = this.batch[at + 6] ?? NO_MODE;
    if (this.batch[at + 3] === 1) this.#end(state, index);
    if (state.onCompletion !== undefined) return;
    if (kind === BLOCKING) this.#connection.blockingAst(state.lksb, value as LockMode);
    else this.#wrappers.unlock(this.#connection, state, value);
  }

  #end(state: LksbState, index: number): void {
    this.#locks.remove(index);
    endLock(state);
  }

  /** The value block that an event has brought; another one for somebody who has given his away. */
  #takeBlock(state: LksbState, at: number): void {
    const from = (at + EVENT_BLOCK) * Int32Array.BYTES_PER_ELEMENT;
    leaveDetached(state);
    const lvb = (state.lvb ??= new Uint8Array(this.#lvbLength));
    for (let i = 0; i < lvb.length; i += 1) lvb[i] = this.#bytes[from + i] ?? 0;
  }

  /** Of what is about no lock. */
  #tellOfGroup(kind: number, index: number, value: number): void {
    if (kind === NODE_DOWN) this.#connection.nodeDown(value);
    else this.#wrappers.call?.(index, value);
  }

  /** All locks are lost: nothing is held any more. Their requests end by events of their own. */
  lose(): void {
    this.#locks.forEach((state) => (state.mode = NO_MODE));
  }

  /** The connection is gone, and its locks with it. */
  clear(): void {
    this.#locks.forEach(endLock);
    this.#locks.clear();
  }
}

/** Another value block is made for somebody who has given his away. */
function leaveDetached(state: LksbState): void {
  if (isLvbDetached(state)) state.lvb = undefined;
}
