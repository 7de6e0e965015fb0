/// <reference lib="esnext.disposable" preserve="true" />
/** A lock as the program has it. */
import { inspect, types, type InspectOptions } from 'node:util';

import { checkFunction, invalidType, outOfRange } from '../errors.js';
import { tokenOf } from '../tokens/token.js';
import type { LockBlock, ValueBytes, ValueState } from './block.js';
import { checkWaitOptions, type WaitOptions } from './limit.js';
import { MODE_NAMES, modeNumber, type Mode } from './modes.js';
import type { LockRecord } from './record.js';
import type { Requests } from './requests.js';
import { copyName } from './rules.js';
import { rejected } from './settle.js';

const { isUint8Array } = types;

/** Called when somebody waits for `mode`, and this lock is in the way. */
export type BlockedHandler = (mode: Mode) => void;

/** Who watches a lock from inside, in place of `onBlocked`: then nobody else hears of it. */
export interface BlockedWatcher {
  blocked(mode: Mode): void;
}

const NO_OPTIONS: WaitOptions = Object.freeze({});

/** For people: what there is to see of a lock. */
function inspectLock(this: Lock, _depth: number, options: InspectOptions): string {
  const { name, mode, held } = this;
  return `Lock ${inspect({ name, mode, held }, options)}`;
}

let takeBack: (lock: Lock) => void;
let watchFrom: (lock: Lock, watcher: BlockedWatcher) => void;
let makePersistent: (lock: Lock, options: WaitOptions) => Promise<undefined>;

/**
 * A lock that has been granted. It is held until `release()`, or until it is lost: then `lost` is aborted, and
 * `release()` rejects. Made by `Lockspace.lock` and its like.
 */
export class Lock {
  readonly #record: LockRecord;
  readonly #requests: Requests;

  /** For `Lockspace`. */
  constructor(record: LockRecord, requests: Requests) {
    this.#record = record;
    this.#requests = requests;
  }

  static {
    takeBack = (lock) => lock.#requests.giveBack(lock.#record);
    watchFrom = (lock, watcher) => {
      const record = lock.#record;
      record.onBlocked = watcher;
      tellBlocked(record);
    };
    makePersistent = (lock, options) => lock.#requests.persist(lock.#record, options);
    // Every grant resolves a promise with a lock, for which V8 looks whether it is a thenable: along all
    // prototypes, if none of them says that it is not. That took a seventh of lock and release.
    Object.defineProperty(this.prototype, 'then', { value: undefined });
    // Not declared: the types of the package do without Node.js's.
    Object.defineProperty(this.prototype, inspect.custom, { value: inspectLock });
  }

  /** What it is on. Bytes as a copy. */
  get name(): string | Uint8Array {
    return copyName(this.#record.name);
  }

  /**
   * The mode that is held. While a conversion is under way, or is being taken back, the weaker one of the two:
   * no more is certain then. Of a lock that is gone, the last one.
   */
  get mode(): Mode {
    return MODE_NAMES[this.#record.certainMode] ?? 'NL';
  }

  /**
   * Whether it is held: neither released, nor known to be lost. In a partition others may know more than
   * this side does: README.md says when.
   */
  get held(): boolean {
    return this.#record.phase !== 'gone' && !this.#record.isReleasing;
  }

  /** Whether it stays when this process ends, or closes the lockspace: `LockOptions.persistent`. */
  get persistent(): boolean {
    return this.#record.isPersistent;
  }

  /**
   * Aborted when the lock is lost before it was released. The reason is a `DlmError`: `ERR_DLM_LOST`, or
   * `ERR_DLM_CLOSED` when it was the lockspace's `close()`. Made when it is first looked at.
   */
  get lost(): AbortSignal {
    const record = this.#record;
    if (record.lost === undefined) {
      record.lost = new AbortController();
      if (record.end !== undefined) record.lost.abort(record.end);
    }
    return record.lost.signal;
  }

  /**
   * Called once for each higher mode that somebody wants, and cannot have while this lock is held as it is.
   * After a conversion or `writeValue()` it starts anew. Set late, it is called for what was wanted before. What it throws, or its
   * promise rejects with, is an uncaught exception; and it is called again while that promise is pending.
   */
  get onBlocked(): BlockedHandler | undefined {
    const { onBlocked } = this.#record;
    return typeof onBlocked === 'function' ? onBlocked : undefined;
  }

  set onBlocked(handler: BlockedHandler | undefined) {
    if (handler !== undefined) checkFunction('onBlocked', handler);
    const record = this.#record;
    record.onBlocked = handler;
    if (handler === undefined || record.wantedByOthers < 0 || record.isTold) return;
    queueMicrotask(() => {
      if (record.onBlocked === handler && this.held) tellBlocked(record);
    });
  }

  /**
   * Changes the mode without letting go. Resolves when it is held; after a rejection the old one is, unless
   * a conversion down, or to a mode that is neither above nor below, was granted before it could be given up:
   * that is not taken back, because it could wait. `mode` tells.
   *
   * Down never waits for others. Up waits, and can deadlock with another holder that wants the same: the
   * stacks `user` and `emulated` tell the second one with `ERR_DLM_DEADLOCK`; `o2cb` finds nothing out, so
   * there it takes a `signal` or `timeoutMs`, or rejects with `ERR_DLM_NO_LIMIT`. `ERR_DLM_BUSY`: one is
   * under way already.
   */
  convert(mode: Mode, options: WaitOptions = NO_OPTIONS): Promise<void> {
    try {
      if (options !== NO_OPTIONS) checkWaitOptions(options);
      const number = modeNumber(mode, this.#requests.rules.modes);
      return this.#requests.convert(this.#record, number, options);
    } catch (error) {
      return rejected(error);
    }
  }

  /**
   * The value that goes with the name, of a lock that was taken with `{ value: true }`: always the same buffer,
   * unless its memory is transferred, and what was put into it with it: then another one, with what was read last.
   * It is what was read with the grant. What you put into it is written when a lock in `PW` or `EX` is released or
   * goes down, and by `writeValue()`; in other modes it is read over by the next conversion up. How many
   * bytes there are depends on the stack and on what else is in the block: VALUES.md has the table. Other locks
   * throw `ERR_DLM_NO_VALUE`. Set it to copy bytes into it, with zeros behind them: that is a
   * change even if they are the same, and makes an `invalid` value good when it is written.
   */
  get value(): ValueBytes {
    return this.blockFor('lock').value;
  }

  set value(bytes: Uint8Array) {
    const block = this.blockFor('lock');
    const { value } = block;
    if (!isUint8Array(bytes)) throw invalidType('value', 'an instance of Uint8Array', bytes);
    if (bytes.length > value.length) {
      throw outOfRange('value', `at most ${value.length} bytes long here`, bytes);
    }
    value.set(bytes);
    value.fill(0, bytes.length);
    block.touch();
  }

  /**
   * How much `value` can be trusted, as it was read: `fresh`, `unwritten`, `invalid`; `stale` in modes that let
   * others write (`NL`, `CR`), and of a lock that is not held any more. What you put into it yourself does not
   * change that until it is written.
   */
  get valueState(): ValueState {
    const block = this.blockFor('lock');
    return this.held ? block.stateIn(this.#record.certainMode) : 'stale';
  }

  /**
   * Writes `value` now, changed or not, for those who read it next, and keeps the lock. Takes `PW` or `EX`, else
   * `ERR_DLM_READ_ONLY`; `ERR_DLM_BUSY` during a conversion; `ERR_DLM_LVB_DETACHED` when its memory was transferred.
   */
  writeValue(): Promise<void> {
    try {
      this.blockFor('convert');
      return this.#requests.write(this.#record);
    } catch (error) {
      return rejected(error);
    }
  }

  /**
   * The fencing token of the last grant of `PW` or `EX`, in a lockspace that was opened with `tokens`: from 1 to
   * 2^63 - 1, and larger than any before it of that name. The resource has to compare it with the largest one that it
   * has seen. It can still be read when the lock is gone. `ERR_DLM_NO_TOKEN` where there is none.
   */
  get token(): bigint {
    const token = this.#record.block?.token;
    if (token === undefined) throw this.#requests.failures.noToken(this.#record);
    return tokenOf(token);
  }

  /**
   * Gives the lock up. Resolves when it is gone, however often it is called, also when `close()` overtakes it;
   * rejects with `ERR_DLM_LOST` or `ERR_DLM_CLOSED` if it was lost before. A conversion that is under way rejects with `ERR_DLM_RELEASED`.
   * A persistent lock that `close()` overtakes in a conversion stays, and this rejects with `ERR_DLM_CLOSED`.
   */
  release(): Promise<void> {
    return this.#requests.release(this.#record);
  }

  private blockFor(op: 'lock' | 'convert'): LockBlock {
    const { block } = this.#record;
    if (block?.hasValue !== true) throw this.#requests.failures.noValue(this.#record, op);
    return block;
  }

  /** `release()` for `await using`; never rejects. What went wrong is told by `lost`. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#requests.release(this.#record);
    } catch {
      // A disposer that throws would mask the error that the block ended with.
    }
  }
}

/** Gives a lock up behind the program's back, which has not seen it. */
export const giveBack = takeBack;

/** Has a watcher told of what others want, and of what they have wanted since the last grant at once. */
export const watchBlocked = watchFrom;

/** Has a lock stay when this process ends. Resolves when it does. */
export const persist = makePersistent;

/** Has the handler called, if there is one that has not been told. Returns what it does. */
export function tellBlocked(record: LockRecord): unknown {
  const { onBlocked, wantedByOthers } = record;
  const mode = MODE_NAMES[wantedByOthers];
  if (onBlocked === undefined || mode === undefined || record.isTold) return undefined;
  record.isTold = true;
  if (typeof onBlocked === 'function') return onBlocked(mode);
  onBlocked.blocked(mode);
  return undefined;
}
