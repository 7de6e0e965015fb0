/**
 * One lock that goes through random requests, and knows what is due for each: exactly one completion, but for
 * a cancel that came too late, which has none.
 */
import { constants } from 'node:os';

import {
  DLM_ERRNO,
  DLM_LKF,
  DLM_LOCK,
  DlmLksb,
  dlmDeadlockCancel,
  type ClusterConnection,
  type StackGlue,
} from '../../../lib/glue.js';
import type { Random } from '../../support/random.js';

const { EAGAIN, EBUSY, EDEADLK, EINVAL, ENOENT, ENOTCONN } = constants.errno;
const { CANCEL, CONVERT, FORCEUNLOCK, NOQUEUE, ORPHAN, PERSISTENT, VALBLK } = DLM_LKF;
const MODES = Object.values(DLM_LOCK);

/** What an unlock AST is given. */
export interface Ending {
  readonly contender: Contender;
  readonly of: 'unlock' | 'cancel';
}

/** Where contenders are. */
export interface Arena {
  readonly glue: StackGlue;
  readonly connection: ClusterConnection;
  /** The locks are gone: every request that was under way has ended. */
  readonly isLost: boolean;
}

/** See the top of this file. */
export class Contender {
  readonly #arena: Arena;
  readonly #random: Random;
  readonly #resource: string;
  readonly #lksb = new DlmLksb();
  #isHeld = false;
  #due: 'lock' | 'convert' | undefined;
  #flags = 0;
  #isUnlocking = false;
  #isCancelling = false;
  #breaksDeadlock = false;
  completions = 0;

  constructor(arena: Arena, random: Random, resource: string) {
    this.#arena = arena;
    this.#random = random;
    this.#resource = resource;
  }

  get isBusy(): boolean {
    return this.#due !== undefined || this.#isUnlocking;
  }

  /** The next request, or something about the one under way. */
  act(): void {
    if (this.#isUnlocking) return;
    if (this.#due !== undefined) this.#meddle();
    else if (this.#isHeld && this.#random.chance(0.5)) this.unlock();
    else this.#request();
  }

  /** Asks for the end of the lock, if it is granted and nothing is under way. */
  unlock(): void {
    if (!this.#isHeld || this.isBusy) return;
    this.#write();
    this.#isUnlocking = this.#isTaken(this.#unlock(this.#random.pick([0, VALBLK]), 'unlock'));
  }

  #request(): void {
    const mode = this.#random.pick(MODES);
    const asked = this.#random.pick([0, NOQUEUE, VALBLK, VALBLK | NOQUEUE, PERSISTENT]);
    const adopts = !this.#isHeld && this.#random.chance(0.1);
    this.#flags = adopts ? ORPHAN : asked | (this.#isHeld ? CONVERT : 0);
    this.#write();
    const { glue, connection } = this.#arena;
    const result = glue.dlmLock(connection, mode, this.#lksb, this.#flags, this.#resource, this);
    if (this.#isTaken(result)) this.#due = this.#isHeld ? 'convert' : 'lock';
  }

  #meddle(): void {
    const { connection } = this.#arena;
    const chance = this.#random.below(10);
    if (chance < 2) {
      // Refused in the call where a conversion to NL has to go first, or a cancel is under way.
      this.#isUnlocking = this.#isTaken(this.#unlock(FORCEUNLOCK, 'unlock'), EBUSY, EINVAL);
    } else if (chance < 4) {
      if (!this.#isTaken(dlmDeadlockCancel(connection, this.#lksb), EINVAL)) return;
      this.#breaksDeadlock ||= !this.#isCancelling;
      this.#isCancelling = true;
    } else if (chance < 8) {
      this.#isCancelling ||= this.#isTaken(this.#unlock(CANCEL, 'cancel'), EINVAL);
    }
  }

  #unlock(flags: number, of: Ending['of']): number {
    const { glue, connection } = this.#arena;
    return glue.dlmUnlock(connection, this.#lksb, flags, { contender: this, of } satisfies Ending);
  }

  /**
   * Whether a request was accepted. One that comes when the lockspace is lost, or the lock has ended, and
   * this has not been told yet, is refused (ENOTCONN, EINVAL).
   */
  #isTaken(result: number, ...refusals: number[]): boolean {
    if (result === 0) return true;
    if ([ENOTCONN, ...refusals].includes(-result)) return false;
    throw this.#wrong(`a refusal, ${result}`);
  }

  /** A block of one byte all over: a torn one would show. */
  #write(): void {
    if (this.#isHeld) this.#arena.glue.dlmLvb(this.#lksb).fill(this.#random.below(256));
  }

  onLockAst(): void {
    const { glue } = this.#arena;
    const status = glue.dlmLockStatus(this.#lksb);
    if (this.#due === undefined) throw this.#wrong('a lock AST for no request');
    if (status === -ENOTCONN) {
      this.#complete();
      return;
    }
    const expected = [0];
    if ((this.#flags & NOQUEUE) !== 0) expected.push(-EAGAIN);
    if ((this.#flags & ORPHAN) !== 0) expected.push(-EAGAIN, -ENOENT);
    if (this.#due === 'convert' || this.#breaksDeadlock) expected.push(-EDEADLK);
    if (!expected.includes(status)) throw this.#wrong(`status ${status}`);
    if (status === 0) this.#isHeld = true;
    if ((this.#flags & VALBLK) !== 0 && status === 0) {
      const block = glue.dlmLvb(this.#lksb);
      if (block.some((byte) => byte !== block[0])) throw this.#wrong(`block ${block.join(' ')}`);
    }
    this.#complete();
    if (!this.#isHeld && this.#isUnlocking) throw this.#wrong('an unlock of what was refused');
  }

  onUnlockAst(of: Ending['of'], error: number): void {
    if (error === -ENOTCONN && of === 'unlock' && this.#isUnlocking) {
      this.#isUnlocking = false;
      this.#complete();
      return;
    }
    if (error !== 0) throw this.#wrong(`an unlock's error, ${error}`);
    const status = this.#arena.glue.dlmLockStatus(this.#lksb);
    if (of === 'unlock') {
      if (!this.#isUnlocking) throw this.#wrong('an unlock AST for no unlock');
      if (status !== -DLM_ERRNO.EUNLOCK) throw this.#wrong(`status ${status}`);
      this.#isHeld = this.#isUnlocking = false;
    } else {
      if (!this.#isCancelling || this.#due === undefined) throw this.#wrong('a cancel of nothing');
      if (status !== -DLM_ERRNO.ECANCEL) throw this.#wrong(`status ${status}`);
      if (this.#due === 'lock' && this.#isUnlocking) throw this.#wrong('a cancel of an unlock');
    }
    this.#complete();
  }

  /** The lock is no longer there, and nothing may be under way. */
  lose(): void {
    if (this.isBusy) throw this.#wrong('a request that has not ended before the loss was told');
    this.#isHeld = false;
  }

  #complete(): void {
    this.#due = undefined;
    this.#isCancelling = this.#breaksDeadlock = false;
    this.completions += 1;
  }

  #wrong(what: string): Error {
    const { glue, isLost } = this.#arena;
    const state = {
      resource: this.#resource,
      isHeld: this.#isHeld,
      due: this.#due,
      flags: this.#flags,
      isUnlocking: this.#isUnlocking,
      isCancelling: this.#isCancelling,
      isLost,
      status: glue.dlmLockStatus(this.#lksb),
    };
    return new Error(`${what}: ${JSON.stringify(state)}`);
  }
}
